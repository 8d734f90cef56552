//! Plans that PostgreSQL makes once for all values, and those that it makes for the values at hand, read about as much: on a tenant with
//! thousands of stories, and on one with a single one; while nothing is known of the tables, and when they have been analyzed.

use std::fmt::Write as _;

use loopctl_server::serve::ServeOptions;
use loopctl_server::statements;
use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::support::{Tenant, connect, own_database, started, story};

const STORIES: usize = 2_000;
const PER_EPIC: usize = 50;

/// How much more one plan may read than the other, and how many blocks in any case: what is read of catalogues and small tables.
const TIMES: i64 = 8;
const BLOCKS: i64 = 1_500;

/// What stands for the ids that statements take.
struct Known {
    tenant: String,
    /// Each kind of parent.
    ids: Vec<String>,
    /// Many at once.
    stories: Vec<String>,
}

impl Known {
    async fn of(tenant: &Tenant, owner: &Client, stories: usize) -> Self {
        let epics: Vec<_> = (1..=stories.div_ceil(PER_EPIC))
            .map(|epic| {
                let stories: Vec<_> =
                    (1..=stories.min(PER_EPIC)).map(|nth| story(&format!("{epic}.{nth}"))).collect();
                json!({"number": epic, "title": "Some", "stories": stories})
            })
            .collect();
        let edges: Vec<_> = (2..=stories.min(PER_EPIC))
            .map(|nth| json!({"story": format!("1.{nth}"), "depends_on": format!("1.{}", nth / 2)}))
            .collect();
        let plan = json!({"epics": epics, "story_dependencies": edges});
        let project = tenant.imported(plan).await;
        let sql = "select id::text, epic_id::text from stories where tenant_id = $1::text::uuid order by number limit 100";
        let rows = owner.query(sql, &[&tenant.id]).await.unwrap();
        let stories: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Self { tenant: tenant.id.clone(), ids: vec![project, rows[0].get(1), stories[0].clone()], stories }
    }

    /// The values of a statement's parameters, as SQL. None: it takes something that is not known here.
    fn values(&self, types: &[Type], id: &str) -> Option<String> {
        let mut values = String::new();
        for (nth, kind) in types.iter().enumerate() {
            let value = match kind.name() {
                "uuid" if nth == 0 => format!("'{}'", self.tenant),
                "uuid" => format!("'{id}'"),
                "_uuid" => format!("'{{{}}}'", self.stories.join(",")),
                "text" | "varchar" => "'pending'".to_owned(),
                "_text" | "_varchar" => "'{pending,1.1}'".to_owned(),
                "int2" | "int4" | "int8" | "numeric" | "float8" | "float4" => "50".to_owned(),
                "_int2" | "_int4" | "_int8" | "_numeric" => "'{1,2}'".to_owned(),
                "bool" => "true".to_owned(),
                "date" => "current_date".to_owned(),
                "timestamptz" => "clock_timestamp()".to_owned(),
                "json" | "jsonb" => "'{}'".to_owned(),
                _ => return None,
            };
            let _ = write!(values, "{}{value}", if nth == 0 { "" } else { ", " });
        }
        Some(values)
    }
}

/// How many blocks a plan reads; None where the statement refuses what it was given. What it writes is taken back.
async fn blocks(client: &Client, mode: &str, tenant: &str, run: &str) -> Option<i64> {
    let begin = format!(
        "begin; set local loopctl.tenant_id = '{tenant}'; set local plan_cache_mode = {mode}; set local statement_timeout = '10s'"
    );
    client.batch_execute(&begin).await.unwrap();
    let plan =
        client.query_one(&format!("explain (analyze, buffers, timing off, format json) {run}"), &[]).await;
    client.batch_execute("rollback").await.unwrap();
    match plan {
        Ok(plan) => {
            let plan: Value = plan.get(0);
            let of = |name: &str| plan[0]["Plan"][name].as_i64().unwrap();
            Some(of("Shared Hit Blocks") + of("Shared Read Blocks"))
        }
        Err(error) => {
            let code = error.code().unwrap().code().to_owned();
            assert_ne!(code, "57014", "it took too long: {mode} {run}");
            None
        }
    }
}

#[tokio::test]
async fn no_plan_turns() {
    let server = started(ServeOptions { jobs: false, ..ServeOptions::local(own_database()) });
    let owner = connect(&server.owner).await;
    let client = connect(&server.app).await;
    let mut known = Vec::new();
    for stories in [STORIES, 1] {
        let tenant = Tenant::at(&server.owner, &server.base).await;
        known.push(Known::of(&tenant, &owner, stories).await);
    }
    let mut turned = Vec::new();
    let (mut run, mut all) = (0, 0);
    for analyzed in [false, true] {
        if analyzed {
            owner.batch_execute("analyze").await.unwrap();
        }
        for (room, named) in statements() {
            all += 1;
            let Ok(prepared) = client.prepare(named.text).await else { continue };
            client.batch_execute(&format!("prepare planned as {}", named.text)).await.unwrap();
            let mut worked = false;
            for known in &known {
                for id in &known.ids {
                    let Some(values) = known.values(prepared.params(), id) else { continue };
                    let execute = if values.is_empty() {
                        "execute planned".to_owned()
                    } else {
                        format!("execute planned ({values})")
                    };
                    let custom = blocks(&client, "force_custom_plan", &known.tenant, &execute).await;
                    let generic = blocks(&client, "force_generic_plan", &known.tenant, &execute).await;
                    let (Some(custom), Some(generic)) = (custom, generic) else { continue };
                    worked = true;
                    let (less, more) = (custom.min(generic), custom.max(generic));
                    if more > BLOCKS && more > TIMES * less {
                        turned.push(format!(
                            "{room} {}: custom {custom}, generic {generic}, analyzed: {analyzed}",
                            named.name
                        ));
                    }
                }
            }
            client.batch_execute("deallocate planned").await.unwrap();
            run += usize::from(worked);
        }
    }
    assert!(turned.is_empty(), "{turned:#?}");
    assert!(run * 2 > all, "{run} of {all} were run");
}
