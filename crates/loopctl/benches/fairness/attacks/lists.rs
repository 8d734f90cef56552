//! The longest pages of the largest rows: an answer that is gathered before it is sent is there once for each who asks.

use serde_json::json;

use super::{Hostile, scale};
use crate::bodies::{COLUMN, IMPORT, entangled, large_stories, object};
use crate::hostile::{Client, Manner, Request};
use crate::support::service::connect;

scale! {
    /// What is listed, and who asks for it.
    Scale {
        /// With as much metadata as there may be.
        stories: usize = 50, 500;
        /// So many wait for so many others.
        entangled: usize = 20, 100;
        findings: usize = 20, 1_000;
        connections: usize = 4, 16;
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    Client::crowd(scale.connections, Manner::Reads, &requests(hostile, scale).await)
}

/// The longest lists that there are then.
pub(super) async fn requests(hostile: &Hostile, scale: Scale) -> Vec<Request> {
    let project = hostile.project().await;
    let per_import = IMPORT / (COLUMN + 100) - 1;
    for (number, first) in (0..scale.stories).step_by(per_import).enumerate() {
        let count = per_import.min(scale.stories - first);
        hostile.import(&project, &large_stories(number + 1, count, COLUMN)).await;
    }
    hostile.planned(&entangled(scale.entangled)).await;
    let run = run_with_findings(hostile, &project, scale.findings).await;
    [
        format!("/stories?project_id={project}&limit=500"),
        "/stories/blocked?limit=500".to_owned(),
        format!("/ui_test_runs/{run}"),
        format!("/projects/{project}/ui-tests?limit=100"),
    ]
    .map(|path| hostile.reading(&path))
    .to_vec()
}

/// A run with so many findings. They are written into the database: each call that adds one is answered with all of them.
async fn run_with_findings(hostile: &Hostile, project: &str, count: usize) -> String {
    let answer = hostile.agent().post(&format!("/projects/{project}/ui_test_runs"), &json!({})).await;
    let run = answer["data"]["id"].as_str().expect("an id").to_owned();
    let content = format!(r#"{{"severity":"low","title":"Large","console_errors":{}}}"#, object(1_000));
    let sql = format!(
        "insert into ui_test_findings (tenant_id, id, run_id, position, content)
         select '{tenant}', gen_random_uuid(), '{run}', n, '{content}' from generate_series(1, {count}) n;
         update ui_test_runs set findings_count = {count} where tenant_id = '{tenant}' and id = '{run}'",
        tenant = hostile.tenant.id
    );
    connect(&hostile.database).await.batch_execute(&sql).await.expect("findings");
    run
}
