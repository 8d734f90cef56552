-- Agents that look at what others did.
alter table agents drop constraint agents_agent_type_check;
alter table agents add constraint agents_agent_type_check check (agent_type in ('orchestrator', 'implementer', 'reviewer'));
