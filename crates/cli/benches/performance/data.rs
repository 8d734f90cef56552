//! What is measured on: one tenant with projects of several sizes, written with SQL.

use loopctl_server::operator::create_tenant;
use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::floor::{bind, script};
use crate::service::Service;

/// How many stories there are to claim, for each side.
const CLAIMS: i32 = 40_000;

/// How many different stories a reading measurement touches. Not more: pgbench plans every script for itself.
const SAMPLE: i64 = 8;

pub(crate) struct Fixture {
    tenant_id: String,
    agent_id: String,
    pub(crate) agent_keys: Vec<String>,
    stories: Vec<String>,
    /// Stories that can be claimed, each once.
    pub(crate) contracted: Vec<String>,
    pub(crate) done_1k: String,
    pub(crate) done_10k: String,
    pub(crate) done_100k: String,
    pub(crate) open_1k: String,
    pub(crate) open_10k: String,
}

impl Fixture {
    pub(crate) async fn create(service: &Service) -> Self {
        let mut config = tokio_postgres::Config::new();
        config.host_path(service.socket_dir()).user("loopctl_owner").dbname("loopctl");
        let (tenant, _) =
            create_tenant(&config, "Bench", "bench", "bench@loopctl.test").await.expect("a tenant");
        let tenant_id = tenant.id.to_string();
        let client = service.owner().await;
        let mut agent_keys = Vec::new();
        for number in 0..4 {
            let key = format!("lc_bench{number}");
            let sql = format!(
                "with agent as (
                     insert into agents (tenant_id, id, name, agent_type)
                     values ('{tenant_id}', gen_random_uuid(), 'agent-{number}', 'implementer') returning id)
                 insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role, agent_id)
                 select gen_random_uuid(), '{tenant_id}', 'agent-{number}', '{}', 'lc_bench', 'agent', id from agent",
                hash(&key)
            );
            client.batch_execute(&sql).await.expect("an agent");
            agent_keys.push(key);
        }
        let agent_id = one(&client, "select id::text from agents limit 1").await;
        let done_1k = project(&client, &tenant_id, "done-1k", 1_000, "verified").await;
        let done_10k = project(&client, &tenant_id, "done-10k", 10_000, "verified").await;
        let done_100k = project(&client, &tenant_id, "done-100k", 100_000, "verified").await;
        let open_1k = project(&client, &tenant_id, "open-1k", 1_000, "unverified").await;
        let open_10k = project(&client, &tenant_id, "open-10k", 10_000, "unverified").await;
        let claims = contracted(&client, &tenant_id, "claims").await;
        // The floor has stories of its own, which its script picks from this table.
        let floor = contracted(&client, &tenant_id, "floor").await;
        client
            .batch_execute(&format!(
                "create table bench_claims (n bigint primary key, id uuid not null);
                 insert into bench_claims select row_number() over (), id from stories where project_id = '{floor}';
                 grant select on bench_claims to loopctl_app"
            ))
            .await
            .expect("stories to claim");
        client.batch_execute("vacuum analyze").await.expect("statistics");
        let of_project = |project: &str, limit: i64| {
            format!(
                "select id::text from stories where project_id = '{project}' order by md5(number) limit {limit}"
            )
        };
        Self {
            stories: column(&client, &of_project(&done_1k, SAMPLE)).await,
            contracted: column(&client, &of_project(&claims, 1_000_000)).await,
            tenant_id,
            agent_id,
            agent_keys,
            done_1k,
            done_10k,
            done_100k,
            open_1k,
            open_10k,
        }
    }

    pub(crate) fn story_paths(&self) -> Vec<String> {
        self.stories.iter().map(|id| format!("/stories/{id}")).collect()
    }

    pub(crate) fn story_scripts(&self) -> Vec<String> {
        let statements = |id: &String| {
            let values = [quoted(&self.tenant_id), quoted(id)];
            [
                ("trust_loop", "SHOW_STORY"),
                ("custody", "STARTED"),
                ("trust_loop", "STORY_PREREQUISITES"),
                ("trust_loop", "RECENT_ARTIFACTS"),
                ("trust_loop", "LATEST_VERIFICATION"),
            ]
            .map(|(resource, name)| bind(resource, name, &[&values[0], &values[1]]))
        };
        self.stories.iter().map(|id| self.script(&statements(id))).collect()
    }

    pub(crate) fn list_paths(&self) -> Vec<String> {
        vec![format!("/stories?project_id={}", self.done_1k)]
    }

    pub(crate) fn list_scripts(&self) -> Vec<String> {
        let (tenant, project) = (quoted(&self.tenant_id), quoted(&self.done_1k));
        let all = [&tenant, &project, "null", "null", "null", "null", "false"];
        let page = [&all[..], &["100", "0"]].concat();
        vec![
            self.script(&[
                bind("stories", "LIST_STORIES::count", &all),
                bind("stories", "LIST_STORIES", &page),
            ]),
        ]
    }

    pub(crate) fn ready_paths(&self, project: &str) -> Vec<String> {
        vec![format!("/stories/ready?project_id={project}")]
    }

    pub(crate) fn ready_scripts(&self, project: &str) -> Vec<String> {
        let values = [&quoted(&self.tenant_id), &quoted(project), "100", "0"];
        vec![self.script(&[bind("stories", "READY_IN_PROJECT", &values)])]
    }

    /// What a claim writes, on stories of its own, whatever their state: pgbench decides nothing. Every transaction
    /// takes another story: updating few rows again and again would measure their dead versions.
    pub(crate) fn claim_script(&self) -> String {
        let (tenant, agent, story) = (quoted(&self.tenant_id), quoted(&self.agent_id), ":story");
        let none = "null";
        // A story that comes up again was claimed already: when it was, the database does not let it forget.
        let once = |column: &str| format!("coalesce({column}, now())");
        let (assigned, claimed, touched) =
            (once("assigned_at"), once("first_claimed_at"), once("first_touched_at"));
        let state = [
            &tenant,
            story,
            "'assigned'",
            "'unverified'",
            &agent,
            &assigned,
            none,
            &claimed,
            none,
            none,
            none,
            none,
            none,
            none,
            &touched,
            "1",
            "0",
            none,
            none,
            none,
            none,
        ];
        let array = |value: &str| format!("array[{value}]");
        let json =
            array(r#"'{"agent_status": "assigned", "agent_id": "x", "assigned_agent_id": "x"}'::jsonb"#);
        let (uuid, text) = (array("gen_random_uuid()"), array("'story'"));
        let (project, actor, hash) =
            (array(&quoted(&self.done_1k)), array("'api_key'"), array("sha256('x')"));
        let event = [
            &tenant,
            "1::bigint",
            &uuid,
            &project,
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
        ];
        let statements = [
            bind("stories", "LOCK_STORY", &[&tenant, story]),
            bind("trust_loop", "SURROUNDINGS", &[&tenant, story]),
            bind("custody", "STARTED", &[&tenant, story]),
            bind("trust_loop", "UNMET_PREREQUISITES", &[&tenant, story]),
            bind("trust_loop", "SAVE_STATE", &state),
            bind("events", "RECORD", &event),
        ];
        let pick = format!(
            "\\set n random(1, {CLAIMS})\nselect id as story from bench_claims where n = :n \\gset\n"
        );
        pick + &self.script(&statements)
    }

    fn script(&self, statements: &[String]) -> String {
        script(&quoted(&hash(&self.agent_keys[0])), &self.tenant_id, statements)
    }
}

/// A project of `size` stories in epics of 100, each depending on the one before it in its epic. The last
/// hundred stories have no open prerequisite and are ready; the others are verified, or pending in chains of
/// which only the heads could be ready: they depend on the last story of the project.
async fn project(client: &Client, tenant_id: &str, name: &str, size: i32, others: &str) -> String {
    let sql = format!(
        "with new as (
             insert into projects (tenant_id, id, name, slug)
             values ('{tenant_id}', gen_random_uuid(), '{name}', '{name}') returning id
         )
         insert into epics (tenant_id, id, project_id, number, title, position)
         select '{tenant_id}', gen_random_uuid(), new.id, n, 'Epic ' || n, n from new, generate_series(1, {epics}) n;
         insert into stories (tenant_id, id, project_id, epic_id, epic_position, number, title,
                              description, acceptance_criteria, agent_status, verified_status, reported_done_at,
                              verified_at, verification_source)
         select e.tenant_id, gen_random_uuid(), e.project_id, e.id, e.position, e.number || '.' || n,
                'Story ' || n, repeat('What it is about. ', 20), '[{{\"id\": \"AC-1\", \"criterion\": \"It works\"}}]',
                case when done then 'reported_done' else 'pending' end,
                case when done then 'verified' else 'unverified' end,
                case when done then now() end, case when done then now() end, case when done then 'import' end
         from epics e cross join generate_series(1, 100) n
         cross join lateral (select e.number < {epics} and '{others}' = 'verified' as done) d
         where e.tenant_id = '{tenant_id}'
           and e.project_id = (select id from projects where tenant_id = '{tenant_id}' and slug = '{name}');
         analyze epics, stories;
         create temporary table plan as
             select id, project_id, sort_key / 10000 as major, sort_key % 10000 / 10 as minor from stories
             where project_id = (select id from projects where tenant_id = '{tenant_id}' and slug = '{name}');
         analyze plan;
         insert into story_dependencies (tenant_id, id, project_id, story_id, depends_on_story_id)
         select '{tenant_id}'::uuid, gen_random_uuid(), s.project_id, s.id, p.id
         from plan s join plan p on p.major = s.major and p.minor = s.minor - 1 where s.major < {epics}
         union all
         select '{tenant_id}'::uuid, gen_random_uuid(), s.project_id, s.id, p.id
         from plan s join plan p on p.major = {epics} and p.minor = 100 where s.minor = 1 and s.major < {epics};
         drop table plan;
         analyze",
        epics = size / 100
    );
    client.batch_execute(&sql).await.expect("a project");
    one(client, &format!("select id::text from projects where slug = '{name}'")).await
}

/// A project of contracted stories without prerequisites.
async fn contracted(client: &Client, tenant_id: &str, name: &str) -> String {
    let project = project(client, tenant_id, name, CLAIMS, "unverified").await;
    client
        .batch_execute(&format!(
            "delete from story_dependencies where project_id = '{project}';
             update stories set agent_status = 'contracted' where project_id = '{project}'"
        ))
        .await
        .expect("contracted stories");
    project
}

async fn column(client: &Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).await.expect("rows").iter().map(|row| row.get(0)).collect()
}

async fn one(client: &Client, sql: &str) -> String {
    column(client, sql).await.swap_remove(0)
}

fn quoted(text: &str) -> String {
    format!("'{text}'")
}

fn hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}
