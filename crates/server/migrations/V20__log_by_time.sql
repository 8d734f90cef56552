-- Superadmins read the log of all tenants by time. Entries come in the order of time, so a summary of each part of a month is enough
-- to leave out the others, and costs those who write next to nothing.
create index audit_log_time on audit_log using brin (inserted_at);
