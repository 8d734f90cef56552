//! The schema itself: what the catalogue promises, whatever the code does.

mod audit;
mod checked;
mod custody;
mod live_migration;
pub(crate) mod migrations;
mod plans;
pub(crate) mod positions;
mod role;
mod upgrade;
mod upgrade_custody;
mod upgrade_first;

use std::collections::{BTreeMap, BTreeSet};

use loopctl_server::db::RowTypes;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::{connect, server};

/// The first column of every row, all columns as text joined with ` | `.
async fn lines(client: &Client, sql: &str) -> Vec<String> {
    let joined = format!(
        "select array_to_string(array(select value from json_each_text(to_json(q))), ' | ', '') from ({sql}) q"
    );
    let rows = client.query(&joined, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The code with which a statement is refused.
async fn refused(client: &Client, sql: &str) -> SqlState {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.code().cloned().unwrap()
}

/// Every table is a tenant's, except these. A new table belongs into one of the lists, and the rules for
/// tenant tables below apply to it.
#[tokio::test]
async fn every_table_is_known() {
    let owner = connect(&server().owner).await;
    let tables = "from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'f', 'v', 'm')";
    let has_tenant = "exists (select from pg_attribute where attrelid = c.oid and attname = 'tenant_id')";
    let without = lines(&owner, &format!("select relname {tables} and not {has_tenant} order by 1")).await;
    assert_eq!(
        without,
        [
            "address_attempts",
            "job_schedules",
            "refinery_schema_history",
            "system_article_embeddings",
            "system_article_links",
            "system_articles",
            "tenants",
        ]
    );
    let with =
        lines(&owner, &format!("select relname {tables} and {has_tenant} and not relispartition order by 1"))
            .await;
    assert_eq!(
        with,
        [
            "agents",
            "api_keys",
            "article_access_events",
            "article_embeddings",
            "article_links",
            "articles",
            "artifact_reports",
            "audit_heads",
            "audit_log",
            "audit_pending_violations",
            "budget_reservations",
            "cost_anomalies",
            "cost_summaries",
            // Of one of these, with the reader's rights.
            "counted_usage",
            "epic_dependencies",
            "epic_states",
            "epics",
            "idempotency_keys",
            "jobs",
            "knowledge_jobs",
            "measured_agents",
            "measured_points",
            "measured_usage",
            "orchestrator_states",
            "projects",
            "rate_windows",
            "review_records",
            "sessions",
            "skill_results",
            "skill_versions",
            "skills",
            "stories",
            "story_acceptance_criteria",
            "story_dependencies",
            "story_starts",
            "story_states",
            "tenant_root_authenticators",
            "tenant_secrets",
            "token_budget_alerts",
            "token_budgets",
            "token_usage_reports",
            "touched_numbers",
            "ui_test_findings",
            "ui_test_runs",
            "usage_by_agent",
            "usage_by_day",
            "verification_results",
            "webauthn_challenges",
            "webhook_events",
            "webhooks",
            // Of two of these, with the reader's rights.
            "whole_stories",
        ]
    );
}

/// Enabled and forced, and every policy says the same.
#[tokio::test]
async fn row_level_security_is_forced_everywhere() {
    let owner = connect(&server().owner).await;
    let open = lines(
        &owner,
        "select relname from pg_class c
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
           and (relname = 'tenants' or exists (select from pg_attribute where attrelid = c.oid and attname = 'tenant_id'))
           and not (relrowsecurity and relforcerowsecurity)",
    )
    .await;
    assert_eq!(open, [""; 0]);
    let policies = lines(
        &owner,
        "select tablename, permissive, cmd, array_to_string(roles, ','), coalesce(qual, '-'), coalesce(with_check, '-')
         from pg_policies where schemaname = 'public' order by tablename, cmd",
    )
    .await;
    let mut policies_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for policy in &policies {
        let (table, rest) = policy.split_once(" | ").unwrap();
        policies_of.entry(table).or_default().push(rest);
    }
    let own = |column: &str| format!("({column} = current_tenant_id())");
    let (by_tenant, by_id) = (own("tenant_id"), own("id"));
    let everything = format!("PERMISSIVE | ALL | public | {by_tenant} | {by_tenant}");
    let tables = lines(
        &owner,
        "select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
           and not relispartition and relname not in ('refinery_schema_history', 'job_schedules', 'address_attempts')
           and relname !~ '^system_article'",
    )
    .await;
    for table in tables {
        let expected = match table.as_str() {
            "tenants" => vec![format!("PERMISSIVE | ALL | public | {by_id} | {by_id}")],
            // Append-only: there is no policy to update or delete with.
            "audit_log" => vec![
                format!("PERMISSIVE | INSERT | public | - | {by_tenant}"),
                format!("PERMISSIVE | SELECT | public | {by_tenant} | -"),
            ],
            _ => vec![everything.clone()],
        };
        assert_eq!(policies_of.remove(table.as_str()).unwrap_or_default(), expected, "{table}");
    }
    // Partitions have none, which lets nobody through.
    assert_eq!(policies_of, BTreeMap::new());
}

/// A child can never point at another tenant's parent, and ids of different tenants never collide.
#[tokio::test]
async fn keys_start_with_the_tenant() {
    let owner = connect(&server().owner).await;
    let columns = |keys: &str| {
        format!(
            "(select string_agg(attname, ',' order by nth) from unnest({keys}) with ordinality k (num, nth)
              join pg_attribute a on a.attnum = k.num and a.attrelid = "
        )
    };
    let primary = lines(
        &owner,
        &format!(
            "select conrelid::regclass::text, {}conrelid) from pg_constraint c join pg_class t on t.oid = conrelid
             where contype = 'p' and t.relnamespace = 'public'::regnamespace and not t.relispartition order by 1",
            columns("conkey")
        ),
    )
    .await;
    for line in &primary {
        let (table, columns) = line.split_once(" | ").unwrap();
        let expected = match table {
            "refinery_schema_history" => "version",
            "job_schedules" => "kind",
            "tenants" => "id",
            // Everybody reads them.
            "system_articles" | "system_article_links" => "id",
            "system_article_embeddings" => "article_id",
            // Who comes from an address has no tenant yet.
            "address_attempts" => "kind,address",
            "audit_heads" => "tenant_id",
            // The tenant of superadmin keys is null, which no primary key takes.
            "api_keys" => "id",
            // Of a partitioned table the key must hold the partition key.
            "audit_log" => "tenant_id,inserted_at",
            // A number is remembered once.
            "touched_numbers" => "tenant_id,project_id,number",
            // A key is known by what its client chose.
            "idempotency_keys" => "tenant_id,api_key_id,key_hash",
            // What is set aside by a story of a budget is one amount.
            "budget_reservations" => "tenant_id,story_id,budget_id",
            // Of what is summed there is one sum.
            "usage_by_day" => "tenant_id,story_id,agent_id,day,phase,model_name,skill_version_id",
            "usage_by_agent" => "tenant_id,epic_id,agent_id",
            // Windows of time are what is read and pruned.
            "article_access_events" => "tenant_id,accessed_at,id",
            // What an article means, it means once.
            "article_embeddings" => "tenant_id,article_id",
            // Who measures, and what was seen of it.
            "measured_agents" => "tenant_id,agent_id",
            "measured_points" => "tenant_id,series,begun_ns,at_ns",
            _ => "tenant_id,id",
        };
        assert_eq!(columns, expected, "{table}");
    }
    assert_eq!(primary.len(), 56, "every table has one");
    let foreign = lines(
        &owner,
        &format!(
            "select conrelid::regclass::text, {}conrelid), confrelid::regclass::text, {}confrelid)
             from pg_constraint c where contype = 'f' order by 1, 2",
            columns("conkey"),
            columns("confkey")
        ),
    )
    .await;
    assert!(foreign.len() >= 20, "{foreign:#?}");
    for line in &foreign {
        let parts: Vec<_> = line.split(" | ").collect();
        let (from, to) = (parts[1], parts[3]);
        if parts[2] == "tenants" {
            assert_eq!((from, to), ("tenant_id", "id"), "{line}");
        } else if parts[0].starts_with("system_article_") {
            // Everybody's alone.
            assert_eq!((parts[2], to), ("system_articles", "id"), "{line}");
        } else {
            assert!(from.starts_with("tenant_id,") && to.starts_with("tenant_id,"), "{line}");
        }
    }
    // Whatever is unique is unique within a tenant, except what names a tenant, or whoever shows it, to the whole world.
    let unique = lines(
        &owner,
        &format!(
            "select t.relname, coalesce({}i.indrelid), '-') from pg_index i join pg_class t on t.oid = i.indrelid
             where i.indisunique and not i.indisprimary and t.relnamespace = 'public'::regnamespace
               and not t.relispartition order by 1, 2",
            columns("i.indkey::int2[]")
        ),
    )
    .await;
    let global: Vec<_> = unique.iter().filter(|line| !line.contains(" | tenant_id,")).collect();
    let expected = [
        "api_keys | key_hash",
        // And its two ends, the smaller id first, which are no columns.
        "article_links | tenant_id",
        "sessions | token_hash",
        // Its two ends as well.
        "system_article_links | -",
        "system_articles | slug",
        "tenant_root_authenticators | credential_id",
        "tenants | email",
        "tenants | slug",
    ];
    assert_eq!(global, expected);
}

/// Tenants can be spread over several servers: what is looked up before a tenant is known can be everywhere, and everything else
/// is where its tenant is. (Policies and keys: the tests above.)
#[tokio::test]
async fn the_schema_can_be_spread_by_tenant() {
    let owner = connect(&server().owner).await;
    let everywhere =
        "('tenants', 'api_keys', 'system_articles', 'system_article_embeddings', 'system_article_links',
                       'refinery_schema_history')";
    let rewriting = "select conname from pg_constraint
                     where contype = 'f' and (confupdtype not in ('a', 'r') or confdeltype in ('n', 'd'))";
    assert_eq!(lines(&owner, rewriting).await, [""; 0], "a key rewrites rows");
    let pointing = format!(
        "select conname from pg_constraint c join pg_class f on f.oid = conrelid join pg_class t on t.oid = confrelid
         where contype = 'f' and f.relname in {everywhere} and t.relname not in {everywhere}"
    );
    assert_eq!(lines(&owner, &pointing).await, [""; 0], "what is everywhere points at a tenant's table");
    let writing = format!(
        r"select t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
          where not tgisinternal and c.relname in {everywhere}
            and p.prosrc ~* '\m(insert\s+into|update\s+\w+\s+set|delete\s+from)\M'"
    );
    assert_eq!(lines(&owner, &writing).await, [""; 0], "what is everywhere writes to a tenant's table");
    let nullable = format!(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not a.attnotnull
           and c.relname not in {everywhere}"
    );
    assert_eq!(lines(&owner, &nullable).await, [""; 0], "a row belongs to no tenant");
    let subqueries = "select tablename from pg_policies
                      where schemaname = 'public' and concat(qual, with_check) ~* 'select'";
    assert_eq!(lines(&owner, subqueries).await, [""; 0], "a policy asks a question");
}

/// Every statement of the request path is sound for this schema, and allowed to the application's role: planning
/// a statement that may not run is refused like running it.
#[tokio::test]
async fn every_statement_prepares() {
    let app = connect(&server().app).await;
    app.batch_execute("set role loopctl_app; set plan_cache_mode = force_generic_plan").await.unwrap();
    let mut count = 0;
    let mut names = BTreeSet::new();
    for (resource, named) in loopctl_server::statements() {
        let (name, sql) = (named.name, named.text);
        let prepared = app.prepare(sql).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{resource}::{name}: {error:?}"));
        // What is read of its rows is what it yields: the same columns, in the same order, of fitting types.
        let mut types = RowTypes::new(prepared.columns());
        let fits = (named.check)(&mut types);
        fits.unwrap_or_else(|fault| panic!("{resource}::{name}: {fault}"));
        assert_eq!(types.rest(), [""; 0], "{resource}::{name} yields what nobody reads");
        assert!(names.insert(name), "{resource}::{name}: another statement has this name");
        let nulls = vec!["null"; prepared.params().len()].join(", ");
        let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
        let plan =
            format!("prepare checked as {sql}; explain execute checked{arguments}; deallocate checked");
        let planned = app.batch_execute(&plan).await;
        planned.unwrap_or_else(|error| panic!("{resource}::{name}: {error:?}"));
        count += 1;
    }
    assert!(count >= 60, "{count} statements");
    // The method tells: a statement that the role may not run does not get this far.
    let forbidden = "prepare forbidden as delete from tenants; explain execute forbidden";
    assert_eq!(refused(&app, forbidden).await, SqlState::INSUFFICIENT_PRIVILEGE);
}
