//! A story shows its artifacts, each with details of as many values as fit: who reads it into trees needs a hundred times what was sent.

use serde_json::{Value, json};

use super::{Hostile, scale};
use crate::bodies::{COLUMN, object};
use crate::hostile::{Client, Manner, Request};

scale! {
    /// Artifacts of the story, with so many bytes of details each, and who asks for them.
    Scale {
        artifacts: usize = 5, 20;
        bytes: usize = COLUMN, COLUMN;
        connections: usize = 4, 16;
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    Client::crowd(scale.connections, Manner::Reads, &requests(hostile, scale).await)
}

/// The story, its artifacts, and lists of which it is a part.
pub(super) async fn requests(hostile: &Hostile, scale: Scale) -> Vec<Request> {
    let project = hostile.tenant.plan(&hostile.slug(), 1).await;
    let story = hostile.story(&project).await;
    let details: Value = serde_json::from_str(&object(scale.bytes)).expect("JSON");
    for number in 0..scale.artifacts {
        let artifact =
            json!({"artifact_type": "test", "path": format!("results/{number}"), "details": details});
        hostile.agent().post(&format!("/stories/{story}/artifacts"), &artifact).await;
    }
    [
        format!("/stories/{story}"),
        format!("/stories/{story}/artifacts?limit=100"),
        format!("/stories/{story}/history?limit=100"),
        format!("/stories?project_id={project}&limit=500"),
    ]
    .map(|path| hostile.reading(&path))
    .to_vec()
}
