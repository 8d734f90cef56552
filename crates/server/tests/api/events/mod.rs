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
    for filling in "abcdefghijklmnopqrst".repeat(3).chars() {
        // Nearly as much as there may be of each.
        let filling = filling.to_string();
        let criteria = vec![json!({"note": filling.repeat(50_000)}); 5];
        let large = json!({"metadata": {"text": filling.repeat(65_000)}, "acceptance_criteria": criteria});
        tenant.user.patch(&format!("/stories/{story}"), large).await.expect(200);
    }
    (tenant, story)
}
