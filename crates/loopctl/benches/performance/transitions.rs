//! Stories that go through the loop, each step by itself.

use serde_json::json;

use crate::bench::{Bench, Load};
use crate::http::{Until, request};
use crate::tenants::{CRITERIA, TITLE, Tenant};

/// A step of the loop.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    body: fn() -> String,
}

pub(crate) const CONTRACT: Action =
    Action { name: "contract", body: || json!({"story_title": TITLE, "ac_count": CRITERIA}).to_string() };

/// What an agent does with a story until somebody else reports it, in order.
pub(crate) const ACTIONS: [Action; 4] = [
    CONTRACT,
    Action { name: "claim", body: String::new },
    Action { name: "start", body: String::new },
    Action { name: "request-review", body: String::new },
];

/// One action on each of these stories, by the tenant's agent.
pub(crate) fn requests(tenant: &Tenant, stories: &[String], action: &Action) -> Vec<Vec<u8>> {
    let (key, body) = (&tenant.agent.key, (action.body)());
    stories
        .iter()
        .map(|story| request("POST", &format!("/stories/{story}/{}", action.name), key, &body))
        .collect()
}

/// Plans so many new stories, evenly among the tenants; each tenant's.
pub(crate) async fn plan(tenants: &[Tenant], slug: &str, stories: usize) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for tenant in tenants {
        let project = tenant.plan(slug, stories / tenants.len()).await;
        all.push(tenant.user.stories(&project).await);
    }
    all
}

/// Takes planned stories one step further, the tenants in turn.
pub(crate) async fn step(
    bench: &Bench,
    tenants: &[Tenant],
    stories: &[Vec<String>],
    action: &Action,
    connections: usize,
) -> Load {
    let each: Vec<_> =
        tenants.iter().zip(stories).map(|(tenant, stories)| requests(tenant, stories, action)).collect();
    bench.load(in_turn(each), connections, Until::Done).await
}

/// One of each, and again one of each.
pub(crate) fn in_turn(each: Vec<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    let most = each.iter().map(Vec::len).max().unwrap_or(0);
    (0..most).flat_map(|number| each.iter().filter_map(move |one| one.get(number).cloned())).collect()
}
