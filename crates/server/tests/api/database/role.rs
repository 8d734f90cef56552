//! The application's role: what it is, and what it may.

use tokio_postgres::error::SqlState;

use super::{lines, refused};
use crate::support::{connect, server};

/// The application's role is nobody, and may do just what it must.
#[tokio::test]
async fn the_application_role_is_nobody() {
    let owner = connect(&server().owner).await;
    let attributes = lines(
        &owner,
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles
         where rolname = 'loopctl_app'",
    )
    .await;
    assert_eq!(attributes, ["false | false | false | false | false"]);
    let powers = "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid
                  where m.member = 'loopctl_app'::regrole";
    assert_eq!(lines(&owner, powers).await, [""; 0]);
    let owned = "select classid::regclass, objid from pg_shdepend
                 where refobjid = 'loopctl_app'::regrole and deptype = 'o'";
    assert_eq!(lines(&owner, owned).await, [""; 0]);
    let creates = "select has_schema_privilege('loopctl_app', 'public', 'CREATE'),
                          has_database_privilege('loopctl_app', current_database(), 'CREATE'),
                          has_parameter_privilege('loopctl_app', 'session_replication_role', 'SET')";
    assert_eq!(lines(&owner, creates).await, ["false | false | false"]);
    let privileges = lines(
        &owner,
        "select c.relname, string_agg(p, ',' order by p) from pg_class c
         cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
           and has_table_privilege('loopctl_app', c.oid, p)
         group by 1 order by 1",
    )
    .await;
    // Evidence and the log are appended to; tenants come from operators, or by their owners through a function; nothing is ever truncated, and on
    // partitions there is no privilege at all. Some columns of tenants and keys may be updated: the list below.
    assert_eq!(
        privileges,
        [
            "address_attempts | DELETE,INSERT,SELECT,UPDATE",
            "agents | INSERT,SELECT",
            "api_keys | INSERT,SELECT",
            "article_access_events | INSERT,SELECT",
            "article_embeddings | DELETE,INSERT,SELECT",
            "article_links | DELETE,INSERT,SELECT",
            "articles | INSERT,SELECT",
            "artifact_reports | INSERT,SELECT",
            "audit_heads | SELECT,UPDATE",
            "audit_log | INSERT,SELECT",
            "audit_pending_violations | SELECT",
            "budget_reservations | DELETE,INSERT,SELECT,UPDATE",
            "cost_anomalies | INSERT,SELECT,UPDATE",
            "cost_summaries | INSERT,SELECT,UPDATE",
            "counted_usage | SELECT",
            "epic_dependencies | DELETE,INSERT,SELECT",
            "epic_states | SELECT",
            "epics | DELETE,INSERT,SELECT,UPDATE",
            "idempotency_keys | INSERT,SELECT",
            "job_schedules | SELECT",
            "jobs | SELECT",
            "knowledge_jobs | SELECT",
            "measured_agents | INSERT,SELECT",
            "measured_points | INSERT,SELECT",
            "measured_usage | INSERT,SELECT",
            "orchestrator_states | INSERT,SELECT,UPDATE",
            "projects | INSERT,SELECT,UPDATE",
            "refinery_schema_history | SELECT",
            "review_records | INSERT,SELECT",
            "sessions | DELETE,INSERT,SELECT",
            "skill_results | INSERT,SELECT",
            "skill_versions | INSERT,SELECT",
            "skills | INSERT,SELECT",
            "stories | DELETE,SELECT",
            "story_acceptance_criteria | DELETE,INSERT,SELECT,UPDATE",
            "story_dependencies | DELETE,INSERT,SELECT",
            "story_starts | SELECT",
            "story_states | SELECT",
            "system_article_embeddings | SELECT",
            "system_article_links | SELECT",
            "system_articles | SELECT",
            "tenant_root_authenticators | DELETE,INSERT,SELECT",
            "tenant_secrets | INSERT",
            "tenants | SELECT",
            "token_budget_alerts | DELETE,INSERT,SELECT",
            "token_budgets | DELETE,INSERT,SELECT",
            "token_usage_reports | DELETE,INSERT,SELECT",
            "touched_numbers | SELECT",
            "ui_test_findings | INSERT,SELECT",
            "ui_test_runs | INSERT,SELECT,UPDATE",
            "usage_by_agent | SELECT",
            "usage_by_day | SELECT",
            "verification_results | INSERT,SELECT",
            "webauthn_challenges | DELETE,INSERT,SELECT",
            "webhook_events | DELETE,INSERT,SELECT",
            "webhooks | DELETE,INSERT,SELECT",
            "whole_stories | SELECT",
        ]
    );
    // Of a tenant and a key, only what the API changes; of a story, what planners write; of its state, what the loop does.
    let by_column = "select table_name, privilege_type, string_agg(column_name, ',' order by column_name)
                     from information_schema.column_privileges p
                     where grantee = 'loopctl_app' and not exists (
                         select from information_schema.table_privileges t where t.grantee = p.grantee
                         and t.table_name = p.table_name and t.privilege_type = p.privilege_type)
                     group by 1, 2 order by 1, 2";
    assert_eq!(
        lines(&owner, by_column).await,
        [
            "api_keys | UPDATE | agent_id,expires_at,revoked_at,superseded_at,updated_at",
            "article_embeddings | UPDATE | dimensions,embedded_at,model,text_hash,vectors",
            "articles | UPDATE | body,category,metadata,project_id,status,tags,title,updated_at",
            "audit_pending_violations | UPDATE | resolution_note,resolved_at,resolved_by_api_key_id,status",
            "idempotency_keys | UPDATE | answer,status",
            "jobs | INSERT | args,id,kind,max_attempts,queue,scheduled_at,tenant_id,unique_key",
            "knowledge_jobs | INSERT | content,content_hash,job_id,kind,metadata,project_id,review_record_id,source_type,tenant_id,url",
            "knowledge_jobs | UPDATE | article_ids,chunks_failed,drafted_at",
            "measured_agents | UPDATE | last_at",
            "measured_usage | UPDATE | cache_creation_tokens,cache_read_tokens,cost_picodollars,cost_points,input_tokens,\
             output_tokens,token_points,updated_at",
            "skills | UPDATE | current_version,description,metadata,status,updated_at",
            "stories | INSERT | acceptance_criteria,description,epic_id,estimated_hours,id,metadata,number,project_id,\
             tenant_id,title",
            "stories | UPDATE | acceptance_criteria,description,estimated_hours,metadata,title,updated_at",
            "story_states | INSERT | agent_status,id,reported_done_at,tenant_id,verification_source,verified_at,\
             verified_status",
            "story_states | UPDATE | agent_status,assigned_agent_id,assigned_at,contracted_by_agent_id,contracted_digest,\
             cycle,first_claimed_at,first_touched_at,rejected_at,rejection_reason,report_cycle,report_number,\
             reported_by_agent_id,reported_done_at,review_requested_at,updated_at,verification_source,verified_at,\
             verified_digest,verified_status",
            "tenant_root_authenticators | UPDATE | last_used_at,sign_count,updated_at",
            "tenants | UPDATE | default_story_budget_millicents,email,name,settings,slug,token_data_retention_days,updated_at",
            "token_budgets | UPDATE | alert_threshold_pct,budget_input_tokens,budget_millicents,budget_output_tokens,\
             enforcement,metadata,reserve_millicents,token_limit,updated_at",
            "token_usage_reports | UPDATE | deleted_at,deletion_reason,updated_at",
            "webhook_events | UPDATE | attempts,delivered_at,error,last_attempt_at,latency_ms,next_attempt_at,\
             response_excerpt,response_status,status,updated_at",
            "webhooks | UPDATE | active,consecutive_failures,events,last_delivery_at,lease,leased_until,project_id,\
             struggling,updated_at,url",
        ]
    );
    // What runs with the owner's rights is a short list, and looks for names in fixed places only.
    let definers = "select proname, array_to_string(proconfig, ';') from pg_proc
                    where prosecdef and pronamespace = 'public'::regnamespace order by 1";
    assert_eq!(
        lines(&owner, definers).await,
        [
            "agents_keep_keys | search_path=public, pg_temp",
            "api_keys_have_agents | search_path=public, pg_temp",
            "artifact_reports_touch | search_path=public, pg_temp",
            "authenticate | search_path=public, pg_temp",
            "authenticators_of | search_path=public, pg_temp",
            "begin_enrollment | search_path=public, pg_temp",
            "change_system_article | search_path=public, pg_temp",
            "change_tenant_status | search_path=public, pg_temp",
            "claim_jobs | search_path=public, pg_temp",
            "claim_webhooks | search_path=public, pg_temp;enable_seqscan=off;enable_bitmapscan=off;enable_sort=off",
            "clear_custody_halt | search_path=public, pg_temp",
            "complete_enrollment | search_path=public, pg_temp",
            "create_system_article | search_path=public, pg_temp",
            "dependencies_come_or_go | search_path=public, pg_temp",
            "epics_begin | search_path=public, pg_temp",
            "epics_move | search_path=public, pg_temp",
            "evidence_is_noted | search_path=public, pg_temp",
            "fan_out_jobs | search_path=public, pg_temp",
            "find_session | search_path=public, pg_temp",
            "finish_job | search_path=public, pg_temp",
            "fire_schedule | search_path=public, pg_temp",
            "follow_knowledge_job | search_path=public, pg_temp",
            "hold_projects | search_path=public, pg_temp",
            "job_queue_stats | search_path=public, pg_temp",
            "jobs_ahead | search_path=public, pg_temp",
            "lock_system_article | search_path=public, pg_temp",
            "note_key_uses | search_path=public, pg_temp",
            "note_webhook | search_path=public, pg_temp",
            "plan_jobs | search_path=public, pg_temp",
            "prune_article_access | search_path=public, pg_temp",
            "prune_idempotency_keys | search_path=public, pg_temp",
            "prune_jobs | search_path=public, pg_temp",
            "prune_knowledge_jobs | search_path=public, pg_temp",
            "prune_measured_points | search_path=public, pg_temp",
            "prune_pending_tenants | search_path=public, pg_temp",
            "prune_rate_windows | search_path=public, pg_temp",
            "prune_sessions | search_path=public, pg_temp",
            "prune_webauthn_challenges | search_path=public, pg_temp",
            "recount | search_path=public, pg_temp",
            "refresh_detail_statistics | search_path=public, pg_temp;lock_timeout=2s",
            "refresh_record_statistics | search_path=public, pg_temp;lock_timeout=2s",
            "release_jobs | search_path=public, pg_temp",
            "renew_jobs | search_path=public, pg_temp",
            "rescue_jobs | search_path=public, pg_temp",
            "return_permits | search_path=public, pg_temp",
            "stories_begin | search_path=public, pg_temp",
            "stories_remember_number | search_path=public, pg_temp",
            "stories_waiting_for | search_path=public, pg_temp",
            "story_states_come_or_go | search_path=public, pg_temp",
            "story_states_follow | search_path=public, pg_temp",
            "take_permits | search_path=public, pg_temp",
            "take_sign_in_challenge | search_path=public, pg_temp",
            "take_signup_challenges | search_path=public, pg_temp",
            "tenant_of_authenticator | search_path=public, pg_temp",
            "try_writing | search_path=public, pg_temp",
            "usage_comes | search_path=public, pg_temp;enable_seqscan=off",
            "usage_days_follow | search_path=public, pg_temp",
            "usage_goes | search_path=public, pg_temp;enable_seqscan=off",
            "webhook_queue_stats | search_path=public, pg_temp",
        ]
    );
    // Others have the caller's rights, and where the caller may put a table of the same name they do not look either.
    let lookers = r"select distinct proname from pg_proc p
                    join pg_class c on prosrc ~* ('\m(from|join|update|into)\s+' || relname || '\M') and relkind in ('r', 'p')
                    where pronamespace = 'public'::regnamespace and relnamespace = pronamespace and proconfig is null";
    assert_eq!(lines(&owner, lookers).await, [""; 0]);
    let callable = "select proname from pg_proc where pronamespace = 'public'::regnamespace
                    and prorettype <> 'trigger'::regtype
                    and has_function_privilege('loopctl_app', oid, 'EXECUTE') order by 1";
    assert_eq!(
        lines(&owner, callable).await,
        [
            // Columns are made by it.
            "article_text_hash",
            "audit_log_ceiling",
            "audit_log_floor",
            "authenticate",
            "authenticators_of",
            "begin_enrollment",
            "canonical_json",
            "change_system_article",
            "change_tenant_status",
            "claim_jobs",
            "claim_webhooks",
            "clear_custody_halt",
            "complete_enrollment",
            "create_system_article",
            "criteria_digest",
            "current_tenant_id",
            "fan_out_jobs",
            "find_session",
            "finish_job",
            "fire_schedule",
            "is_implementer",
            "is_sound",
            "job_queue_stats",
            "jobs_ahead",
            "keep_custody",
            "lock_system_article",
            "next_webhook_events",
            "note_key_uses",
            "note_server",
            "plan_jobs",
            "prune_article_access",
            "prune_idempotency_keys",
            "prune_jobs",
            "prune_knowledge_jobs",
            "prune_measured_points",
            "prune_pending_tenants",
            "prune_rate_windows",
            "prune_sessions",
            "prune_webauthn_challenges",
            "queue_webhook_events",
            "refresh_detail_statistics",
            "refresh_record_statistics",
            "release_jobs",
            "renew_jobs",
            "rescue_jobs",
            "return_permits",
            "searchable",
            "story_order_key",
            "story_queue_key",
            "story_small_part",
            "take_permits",
            "take_sign_in_challenge",
            "take_signup_challenges",
            "tenant_of_authenticator",
            "try_writing",
            "webhook_queue_stats",
            "with_members",
        ]
    );
    let default_privileges = "select defaclrole from pg_default_acl";
    assert_eq!(lines(&owner, default_privileges).await, [""; 0]);
}

/// The same from the role's own point of view.
#[tokio::test]
async fn the_application_role_is_refused() {
    let app = connect(&server().app).await;
    app.batch_execute("set role loopctl_app").await.unwrap();
    for sql in [
        "create table public.mine (id int)",
        "create schema mine",
        "truncate projects",
        "truncate audit_log",
        "truncate tenants cascade",
        "alter table projects disable row level security",
        "drop policy tenant_isolation on projects",
        "alter table audit_log disable trigger all",
        "set session_replication_role = replica",
        "create role mine",
        "alter role loopctl_app bypassrls",
        "insert into tenants (id, name, slug) values (gen_random_uuid(), 'x', 'xx')",
        "delete from tenants",
        "delete from api_keys",
        "select ensure_audit_partitions(1)",
        "update refinery_schema_history set version = 0",
        "copy projects to '/tmp/stolen'",
    ] {
        assert_eq!(refused(&app, sql).await, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    // Switched off, row-level security hides nothing and refuses instead.
    app.batch_execute("set row_security = off").await.unwrap();
    assert_eq!(refused(&app, "select from projects").await, SqlState::INSUFFICIENT_PRIVILEGE);
}
