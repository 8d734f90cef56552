//! Requests about many stories at once: import, export, bulk claims.

use std::time::{Duration, Instant};

use loopctl_server::operator::create_tenant;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::service::Service;

/// Epics of an import, of 100 stories each.
const EPICS: u32 = 50;
/// How often each is measured; the median counts.
const ROUNDS: usize = 5;
/// Stories of one bulk call.
const BATCH: usize = 50;

/// What the requests came to.
pub(crate) struct Bulk {
    /// 5,000 stories with 8,000 dependencies in one request.
    pub(crate) import: Duration,
    /// The same rows with plain SQL in one transaction: nothing is parsed, checked or told.
    pub(crate) import_floor: Duration,
    /// The ready queue of that project, at once, when PostgreSQL has not looked at it by itself.
    pub(crate) ready_at_once: Duration,
    /// The same when it has.
    pub(crate) ready_later: Duration,
    /// 50 stories claimed in one request.
    pub(crate) bulk_claim: Duration,
    /// 50 stories claimed one after the other.
    pub(crate) single_claims: Duration,
    /// 20,000 stories.
    pub(crate) export: Duration,
    /// Bytes of that document.
    pub(crate) export_size: u64,
    /// Bytes by which the server's resident memory rose, at its highest, during exports.
    pub(crate) export_memory: u64,
}

/// Measures them all. `contracted` are stories that the owner of `agent_key` can claim.
pub(crate) async fn measure(service: &Service, agent_key: &str, contracted: &[String]) -> Bulk {
    let owner = service.owner().await;
    let mut config = tokio_postgres::Config::new();
    config.host_path(service.socket_dir()).user("loopctl_owner").dbname("loopctl");
    let (tenant, key) = create_tenant(&config, "Bulk", "bulk", "bulk@loopctl.test").await.expect("a tenant");
    // The client wants one even where nothing is encrypted; somebody may have chosen it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let user = Api { http: reqwest::Client::new(), address: service.address.clone(), key: key.raw_key };
    let agent = Api { key: agent_key.to_owned(), ..user.clone() };

    let payload = payload();
    let (mut imports, mut floors) = (Vec::new(), Vec::new());
    let (mut at_once, mut later) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let project = user.project(&format!("import-{round}")).await;
        let began = Instant::now();
        let answer = user.post(&format!("/projects/{project}/import"), &payload).await;
        imports.push(began.elapsed());
        assert_eq!(answer["import"]["dependencies_created"], 8_000, "{answer}");
        let ready = format!("/stories/ready?project_id={project}");
        at_once.push(user.timed(&ready).await);
        owner.batch_execute("analyze").await.expect("statistics");
        later.push(user.timed(&ready).await);
        floors.push(plain_import(&owner, &tenant.id.to_string(), &format!("floor-{round}")).await);
    }

    let (mut bulk, mut single) = (Vec::new(), Vec::new());
    for stories in contracted.chunks_exact(2 * BATCH).take(ROUNDS) {
        let (together, alone) = stories.split_at(BATCH);
        let began = Instant::now();
        let answer = agent.post("/stories/bulk/claim", &json!({"story_ids": together})).await;
        bulk.push(began.elapsed());
        let results = answer["results"].as_array().expect("results");
        assert!(results.iter().all(|result| result["status"] == "success"), "{answer}");
        let began = Instant::now();
        for story in alone {
            agent.post(&format!("/stories/{story}/claim"), &json!({})).await;
        }
        single.push(began.elapsed());
    }

    let project = user.project("export").await;
    for part in 0..4 {
        let epics: Vec<Value> = (1..=EPICS).map(|epic| epic_of(part * EPICS + epic)).collect();
        user.post(&format!("/projects/{project}/import"), &json!({"epics": epics})).await;
    }
    let before = service.mark_memory();
    let (mut exports, mut export_size) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        export_size = user.drain(&format!("/projects/{project}/export")).await;
        exports.push(began.elapsed());
    }
    Bulk {
        import: median(imports),
        import_floor: median(floors),
        ready_at_once: median(at_once),
        ready_later: median(later),
        bulk_claim: median(bulk),
        single_claims: median(single),
        export: median(exports),
        export_size,
        export_memory: service.highest_memory().saturating_sub(before),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// 5,000 stories in 50 epics with 8,000 dependencies: each story waits for the one before it and, mostly, for one of
/// the epic before.
fn payload() -> Value {
    let epics: Vec<Value> = (1..=EPICS).map(epic_of).collect();
    let mut edges = Vec::new();
    for epic in 1..=EPICS {
        for story in 2..=100 {
            edges.push(
                json!({"story": format!("{epic}.{story}"), "depends_on": format!("{epic}.{}", story - 1)}),
            );
        }
    }
    for epic in 2..=EPICS {
        for story in 1..=100 {
            if edges.len() < 8_000 {
                edges.push(json!({"story": format!("{epic}.{story}"), "depends_on": format!("{}.{story}", epic - 1)}));
            }
        }
    }
    json!({"epics": epics, "story_dependencies": edges})
}

fn epic_of(number: u32) -> Value {
    let stories: Vec<Value> = (1..=100)
        .map(|story| {
            json!({"number": format!("{number}.{story}"), "title": format!("Story {story}"),
                   "description": "What it is about. ".repeat(20), "estimated_hours": 4.5,
                   "acceptance_criteria": [{"id": "AC-1", "criterion": "It works"}, {"id": "AC-2", "criterion": "It is tested"}]})
        })
        .collect();
    json!({"number": number, "title": format!("Epic {number}"), "stories": stories})
}

/// The rows of [`payload`], with their criteria, by plain SQL.
async fn plain_import(owner: &Client, tenant_id: &str, name: &str) -> Duration {
    let sql = format!(
        "begin;
         insert into projects (tenant_id, id, name, slug) values ('{tenant_id}', gen_random_uuid(), '{name}', '{name}');
         insert into epics (tenant_id, id, project_id, number, title, position)
         select p.tenant_id, gen_random_uuid(), p.id, n, 'Epic ' || n, n from projects p, generate_series(1, {EPICS}) n
         where p.tenant_id = '{tenant_id}' and p.slug = '{name}';
         create temporary table plan on commit drop as
             select e.project_id, e.id as epic_id, e.position, e.number as major, n as minor, gen_random_uuid() as id
             from projects p join epics e on e.tenant_id = p.tenant_id and e.project_id = p.id, generate_series(1, 100) n
             where p.tenant_id = '{tenant_id}' and p.slug = '{name}';
         analyze plan;
         insert into stories (tenant_id, id, project_id, epic_id, epic_position, number, title,
                              description, acceptance_criteria, estimated_hours)
         select '{tenant_id}', id, project_id, epic_id, position, major || '.' || minor, 'Story ' || minor,
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
    let began = Instant::now();
    owner.batch_execute(&sql).await.expect("a plain import");
    began.elapsed()
}

#[derive(Clone)]
struct Api {
    http: reqwest::Client,
    address: String,
    key: String,
}

impl Api {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}/api/v1{path}", self.address);
        let answer = self.http.post(url).bearer_auth(&self.key).json(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    async fn project(&self, slug: &str) -> String {
        let answer = self.post("/projects", &json!({"name": slug, "slug": slug})).await;
        answer["project"]["id"].as_str().expect("an id").to_owned()
    }

    /// How long an answer takes.
    async fn timed(&self, path: &str) -> Duration {
        let began = Instant::now();
        self.drain(path).await;
        began.elapsed()
    }

    /// Reads an answer to its end without keeping it; how long it was.
    async fn drain(&self, path: &str) -> u64 {
        let url = format!("http://{}/api/v1{path}", self.address);
        let mut answer = self.http.get(url).bearer_auth(&self.key).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let mut length = 0;
        while let Some(chunk) = answer.chunk().await.expect("the whole answer") {
            length += chunk.len() as u64;
        }
        length
    }
}
