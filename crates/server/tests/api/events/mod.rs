//! What those see who follow what happens: the audit log and the change feed.

mod audit;
mod catalogue;
mod changes;
mod stream;

use serde_json::{Value, json};

use crate::support::{Tenant, text};

/// One member of each row of a list.
fn each(list: &Value, member: &str) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|row| text(&row[member])).collect()
}

/// A tenant with a story that was changed so often, in so large a text, that no answer holds all that its log tells of it; the story's id.
pub(crate) async fn with_large_log() -> (Tenant, String) {
    let tenant = Tenant::new().await;
    let story = tenant.story().await;
    for filling in "abcdefghijklmnopqrst".chars() {
        let metadata = json!({"text": filling.to_string().repeat(1_000_000)});
        let path = format!("/stories/{story}");
        tenant.user.patch(&path, json!({"metadata": metadata})).await.expect(200);
    }
    (tenant, story)
}
