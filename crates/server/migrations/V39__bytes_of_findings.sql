-- How many bytes the findings of a run come to: there is a bound to them, and every answer with one run has them all.
alter table ui_test_runs add findings_bytes integer not null default 0 check (findings_bytes >= 0);
update ui_test_runs r
set findings_bytes = (select coalesce(sum(octet_length(f.content::text)), 0)
                      from ui_test_findings f where f.tenant_id = r.tenant_id and f.run_id = r.id)
where findings_count > 0;
