//! All SQL of the benchmark that knows the schema: projects too large to be planned over HTTP, the rows of an import, and
//! requests as the statements that they consist of.

use std::collections::HashMap;

use tokio_postgres::Client;

use crate::tenants::Tenant;

/// Stories that claims by pgbench pick from.
const CLAIMS: usize = 5_000;

/// What keeps the stories of a project from being ready; the last hundred always are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    Ready,
    Verified,
    Blocked,
}

impl Rest {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ready => "all ready",
            Self::Verified => "100 ready, the rest verified",
            Self::Blocked => "100 ready, the rest blocked",
        }
    }
}

/// A project of `size` stories in epics of 100, whose last hundred stories have no open prerequisite. Blocked ones are
/// pending in chains, one to an epic, of which only the heads could be ready: they depend on the last story of the
/// project. Verified ones depend on each other likewise.
pub(crate) async fn project(owner: &Client, tenant: &Tenant, slug: &str, size: usize, rest: Rest) -> String {
    let (tenant_id, epics, done) = (&tenant.id, size / 100, rest == Rest::Verified);
    let stories = format!(
        "insert into projects (tenant_id, id, name, slug) values ('{tenant_id}', gen_random_uuid(), '{slug}', '{slug}');
         create temporary table project as select id from projects where tenant_id = '{tenant_id}' and slug = '{slug}';
         insert into epics (tenant_id, id, project_id, number, title, position)
         select '{tenant_id}', gen_random_uuid(), project.id, n, 'Epic ' || n, n from project, generate_series(1, {epics}) n;
         with planned as (
             insert into stories (tenant_id, id, project_id, epic_id, number, title, description, acceptance_criteria)
             select e.tenant_id, gen_random_uuid(), e.project_id, e.id, e.number || '.' || n,
                    'Story ' || n, repeat('What it is about. ', 20), '[{{\"id\": \"AC-1\", \"criterion\": \"It works\"}}]'
             from epics e cross join generate_series(1, 100) n
             where e.tenant_id = '{tenant_id}' and e.project_id = (select id from project)
             returning tenant_id, id, sort_key / 10000 as epic
         )
         insert into story_states (tenant_id, id, agent_status, verified_status, reported_done_at, verified_at,
                                   verification_source)
         select tenant_id, id, 'reported_done', 'verified', now(), now(), 'import' from planned
         where {done} and epic < {epics};
         analyze epics, epic_states, stories, story_states"
    );
    let dependencies = format!(
        "create temporary table plan as
             select id, project_id, sort_key / 10000 as major, sort_key % 10000 / 10 as minor from stories
             where tenant_id = '{tenant_id}' and project_id = (select id from project);
         analyze plan;
         insert into story_dependencies (tenant_id, id, project_id, story_id, depends_on_story_id)
         select '{tenant_id}'::uuid, gen_random_uuid(), s.project_id, s.id, p.id
         from plan s join plan p on p.major = s.major and p.minor = s.minor - 1 where s.major < {epics}
         union all
         select '{tenant_id}'::uuid, gen_random_uuid(), s.project_id, s.id, p.id
         from plan s join plan p on p.major = {epics} and p.minor = 100 where s.minor = 1 and s.major < {epics};
         drop table plan;
         analyze story_dependencies, story_states"
    );
    owner.batch_execute(&stories).await.expect("a project");
    if rest != Rest::Ready {
        owner.batch_execute(&dependencies).await.expect("dependencies");
    }
    let row = owner.query_one("select id::text from project", &[]).await.expect("a project");
    owner.batch_execute("drop table project").await.expect("it is ours");
    row.get(0)
}

/// The rows of an import of 5,000 stories with 8,000 dependencies, and with two criteria each, in one transaction.
pub(crate) async fn plain_import(owner: &Client, tenant: &Tenant, slug: &str) {
    let tenant_id = &tenant.id;
    let sql = format!(
        "begin;
         insert into projects (tenant_id, id, name, slug) values ('{tenant_id}', gen_random_uuid(), '{slug}', '{slug}');
         insert into epics (tenant_id, id, project_id, number, title, position)
         select p.tenant_id, gen_random_uuid(), p.id, n, 'Epic ' || n, n from projects p, generate_series(1, 50) n
         where p.tenant_id = '{tenant_id}' and p.slug = '{slug}';
         create temporary table plan on commit drop as
             select e.project_id, e.id as epic_id, e.position, e.number as major, n as minor, gen_random_uuid() as id
             from projects p join epics e on e.tenant_id = p.tenant_id and e.project_id = p.id, generate_series(1, 100) n
             where p.tenant_id = '{tenant_id}' and p.slug = '{slug}';
         analyze plan;
         insert into stories (tenant_id, id, project_id, epic_id, number, title, description, acceptance_criteria,
                              estimated_hours)
         select '{tenant_id}', id, project_id, epic_id, major || '.' || minor, 'Story ' || minor,
                repeat('What it is about. ', 20), '[{{\"id\": \"AC-1\", \"criterion\": \"It works\"}},
                {{\"id\": \"AC-2\", \"criterion\": \"It is tested\"}}]', 4.5 from plan;
         discard plans;
         insert into story_acceptance_criteria (tenant_id, id, story_id, position, ac_id, description)
         select '{tenant_id}', gen_random_uuid(), id, n, 'AC-' || n + 1, 'It works' from plan, generate_series(0, 1) n;
         insert into story_dependencies (tenant_id, id, project_id, story_id, depends_on_story_id)
         select '{tenant_id}'::uuid, gen_random_uuid(), s.project_id, s.id, p.id
         from plan s join plan p on p.major = s.major and p.minor = s.minor - 1
         union all
         (select '{tenant_id}'::uuid, gen_random_uuid(), s.project_id, s.id, p.id
          from plan s join plan p on p.major = s.major - 1 and p.minor = s.minor order by s.major, s.minor limit 3050);
         commit"
    );
    owner.batch_execute(&sql).await.expect("a plain import");
}

/// A story as `GET` shows it.
pub(crate) fn story_script(tenant: &Tenant, story: &str) -> String {
    script(tenant, &[bind("trust_loop", "SHOW_STORY", &[&quoted(&tenant.id), &quoted(story)])])
}

/// The first hundred stories of a project.
pub(crate) fn list_script(tenant: &Tenant, project: &str) -> String {
    let (tenant_id, project) = (quoted(&tenant.id), quoted(project));
    let all = [tenant_id.as_str(), &project];
    let page = [&all[..], &["100", "0"]].concat();
    script(tenant, &[bind("stories", "LIST_STORIES::count", &all), bind("stories", "LIST_STORIES", &page)])
}

/// The first hundred stories of a project's ready queue.
pub(crate) fn ready_script(tenant: &Tenant, project: &str) -> String {
    let values = [&quoted(&tenant.id), &quoted(project), "100", "0"];
    script(tenant, &[bind("stories", "READY_IN_PROJECT", &values)])
}

/// Prepares what [`claim_script`] picks from.
pub(crate) async fn prepare_claims(owner: &Client, tenant: &Tenant) {
    let project = project(owner, tenant, "claims", CLAIMS, Rest::Ready).await;
    let sql = format!(
        "update story_states set agent_status = 'contracted' where project_id = '{project}';
         create table bench_claims (n bigint primary key, id uuid not null);
         insert into bench_claims select row_number() over (), id from stories where project_id = '{project}';
         grant select on bench_claims to loopctl_app;
         analyze bench_claims"
    );
    owner.batch_execute(&sql).await.expect("stories to claim");
}

/// What a claim writes, on stories of its own, whatever their state: pgbench decides nothing. Every transaction
/// takes another story: updating few rows again and again would measure their dead versions.
pub(crate) fn claim_script(owner: &Tenant) -> String {
    let (tenant, story) = (quoted(&owner.id), "array[:story]::uuid[]");
    let array = |value: &str| format!("array[{value}]");
    let (none, now, agent) = (array("null"), array("now()"), array(&quoted(&owner.agent_id)));
    // A story that comes up again was claimed already: when it was, the database does not let it forget.
    let once = |column: &str| format!("array[coalesce({column}, now())]");
    let (assigned, claimed, touched) =
        (once("assigned_at"), once("first_claimed_at"), once("first_touched_at"));
    let (status, unverified, first, never) =
        (array("'assigned'"), array("'unverified'"), array("1"), array("0"));
    let state = [
        &tenant,
        story,
        &status,
        &unverified,
        &agent,
        &assigned,
        &none,
        &claimed,
        &none,
        &none,
        &none,
        &none,
        &none,
        &none,
        &touched,
        &first,
        &never,
        &none,
        &none,
        &none,
        &none,
        &now,
    ];
    let json = array(r#"'{"agent_status": "assigned", "agent_id": "x", "assigned_agent_id": "x"}'::jsonb"#);
    let (uuid, text) = (array("gen_random_uuid()"), array("'story'"));
    let (actor, hash) = (array("'api_key'"), array("sha256('x')"));
    let event = [
        &tenant,
        "1::bigint",
        &uuid,
        &uuid,
        &text,
        &uuid,
        &text,
        &actor,
        &uuid,
        &text,
        &json,
        &json,
        &json,
        &hash,
        &first,
        &array("'story.status_changed'"),
        &array("'{}'"),
        &none,
        &none,
    ];
    let statements = [
        bind("story_locks", "LOCK_FREE_STORIES", &[&tenant, story]),
        bind("trust_loop", "FIND_LOCKED", &[&tenant, story]),
        bind("trust_loop", "SAVE_STATES", &state),
        bind("events", "RECORD", &event),
    ];
    let pick =
        format!("\\set n random(1, {CLAIMS})\nselect id as story from bench_claims where n = :n \\gset\n");
    pick + &script(owner, &statements)
}

/// A request's statements as a script, with the tenant's transaction around them. Who calls is remembered by the server.
fn script(tenant: &Tenant, statements: &[String]) -> String {
    let (role, id) = ("set local role loopctl_app", &tenant.id);
    format!("begin;\n{role};\nset local loopctl.tenant_id = '{id}';\n{}\ncommit;\n", statements.join("\n"))
}

/// One of the server's statements on one line, with its parameters written in.
fn bind(resource: &str, name: &str, values: &[&str]) -> String {
    let all: HashMap<_, _> =
        loopctl_server::statements().map(|(resource, named)| ((resource, named.name), named.text)).collect();
    let mut sql = all.get(&(resource, name)).unwrap_or_else(|| panic!("{resource}.{name}")).to_string();
    for (index, value) in values.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", index + 1), value);
    }
    assert!(!sql.contains(&format!("${}", values.len() + 1)), "{resource}.{name} takes more values");
    sql.split_whitespace().collect::<Vec<_>>().join(" ") + ";"
}

fn quoted(text: &str) -> String {
    format!("'{text}'")
}

/// Queues so many events for the webhooks that there are, evenly.
pub(crate) async fn queue_deliveries(owner: &Client, count: usize) {
    let sql = "
        insert into webhook_events (tenant_id, id, webhook_id, event_type, payload, position)
        select w.tenant_id, gen_random_uuid(), w.id, 'story.verified',
               jsonb_build_object('event', 'story.verified', 'timestamp', '2026-03-27T12:00:00.123456Z',
                                  'story_id', gen_random_uuid(), 'project_id', gen_random_uuid(), 'summary', 'checked'),
               n
        from generate_series(1, $1::bigint / (select count(*) from webhooks)) n cross join webhooks w";
    owner.execute(sql, &[&(count as i64)]).await.expect("a queue");
}

/// How many events wait.
pub(crate) async fn pending_deliveries(owner: &Client) -> usize {
    let sql = "select count(*) from webhook_events where status = 'pending'";
    let pending: i64 = owner.query_one(sql, &[]).await.expect("a count").get(0);
    pending as usize
}

/// Whether any does, which is cheaper to ask.
pub(crate) async fn are_deliveries_pending(owner: &Client) -> bool {
    let sql = "select exists (select from webhook_events where status = 'pending' and attempts = 0)";
    owner.query_one(sql, &[]).await.expect("an answer").get(0)
}

/// The dead rows of the tables of deliveries, as far as PostgreSQL has noted them.
pub(crate) async fn dead_rows_of_deliveries(owner: &Client) -> i64 {
    let sql = "select sum(n_dead_tup)::bigint from pg_stat_user_tables where relname in ('webhook_events', 'webhooks')";
    owner.query_one(sql, &[]).await.expect("statistics").get(0)
}

/// Those at the end, and how large the tables are.
pub(crate) async fn traces_of_deliveries(owner: &Client) -> (i64, String) {
    owner.batch_execute("select pg_stat_force_next_flush()").await.expect("statistics");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let sql = "
        select string_agg(pg_size_pretty(pg_total_relation_size(relid)), ', ' order by relname)
        from pg_stat_user_tables where relname in ('webhook_events', 'webhooks')";
    (dead_rows_of_deliveries(owner).await, owner.query_one(sql, &[]).await.expect("statistics").get(0))
}

/// A year of usage.
pub(crate) struct Year {
    pub(crate) stories: i64,
    /// Rows of `usage_by_day`.
    pub(crate) sums: i64,
    /// One of three.
    pub(crate) project: String,
    /// One of 40.
    pub(crate) agent: String,
}

/// So many reports of the year 2025: 40 for each story, of two of 40 agents, on two days in a row, in all phases. Each agent has one of
/// four models, and one more for small things. Nine stories of ten are verified. The sums are made by the triggers, as always.
pub(crate) async fn year_of_usage(owner: &Client, tenant: &Tenant, reports: usize) -> Year {
    let (tenant_id, stories) = (&tenant.id, reports / 40);
    let per_project = stories.div_ceil(3);
    let epics = per_project.div_ceil(100);
    let plan = format!(
        "insert into agents (tenant_id, id, name, agent_type)
         select '{tenant_id}', gen_random_uuid(), 'agent ' || n, 'implementer' from generate_series(0, 39) n;
         insert into projects (tenant_id, id, name, slug)
         select '{tenant_id}', gen_random_uuid(), 'Project ' || n, 'project-' || n from generate_series(1, 3) n;
         insert into epics (tenant_id, id, project_id, number, title, position)
         select tenant_id, gen_random_uuid(), id, n, 'Epic ' || n, n from projects, generate_series(1, {epics}) n
         where tenant_id = '{tenant_id}';
         with planned as (
             insert into stories (tenant_id, id, project_id, epic_id, number, title, description, acceptance_criteria)
             select tenant_id, gen_random_uuid(), project_id, id, number || '.' || n, 'Story ' || n,
                    repeat('What it is about. ', 20), '[]'
             from epics cross join generate_series(1, 100) n
             where tenant_id = '{tenant_id}' and (number - 1) * 100 + n <= {per_project}
             returning tenant_id, id
         )
         insert into story_states (tenant_id, id, agent_status, verified_status, reported_done_at, verified_at,
                                   verification_source)
         select tenant_id, id, 'reported_done', 'verified', now(), now(), 'import' from planned
         where hashtext('v' || id) % 10 <> 0;
         create table bench_year as
             select s.id as story_id, s.project_id, s.epic_id, row_number() over (order by s.id) as n,
                    hashtext('a' || s.id) & 1023 as first, hashtext('b' || s.id) & 1023 as second,
                    (hashtext('c' || s.id) & 65535) % 363 as day
             from stories s where tenant_id = '{tenant_id}';
         create table bench_agents as
             select id, substr(name, 7)::int as n from agents where tenant_id = '{tenant_id}' and name ~ '^agent \\d+$';
         analyze bench_year, bench_agents, stories, story_states"
    );
    owner.batch_execute(&plan).await.expect("a plan");
    // A transaction for each few thousand reports: memory is for others as well.
    for from in (1..=stories).step_by(500) {
        let to = from + 499;
        let sql = format!(
            "insert into token_usage_reports (tenant_id, id, story_id, agent_id, project_id, epic_id, input_tokens, output_tokens,
                                              model_name, cost_millicents, phase, inserted_at)
             select '{tenant_id}', gen_random_uuid(), y.story_id, a.id, y.project_id, y.epic_id,
                    1000 + (hashtext('i' || y.n || k) & 65535), 200 + (hashtext('o' || y.n || k) & 16383),
                    (array['claude-opus-4', 'claude-sonnet-4', 'gpt-5-codex', 'gemini-2.5-pro', 'claude-haiku-4'])
                        [case when k % 10 < 9 then 1 + a.n % 4 else 5 end],
                    100 + (hashtext('c' || y.n || k) & 8191),
                    case when k < 4 then 'planning' when k < 28 then 'implementing' when k < 30 then 'other' else 'reviewing' end,
                    timestamptz '2025-01-01 08:00Z' + make_interval(days => y.day + k / 15, mins => k)
             from bench_year y cross join generate_series(0, 39) k
             join bench_agents a on a.n = (case when k < 30 then y.first else y.second end) % 40
             where y.n between {from} and {to}"
        );
        owner.batch_execute(&sql).await.expect("reports");
    }
    let sql = format!(
        "select (select count(*) from bench_year), (select count(*) from usage_by_day where tenant_id = '{tenant_id}'),
                (select min(project_id::text) from bench_year), (select min(id::text) from bench_agents)"
    );
    let row = owner.query_one(&sql, &[]).await.expect("what there is");
    owner.batch_execute("drop table bench_year, bench_agents").await.expect("they are ours");
    Year { stories: row.get(0), sums: row.get(1), project: row.get(2), agent: row.get(3) }
}
