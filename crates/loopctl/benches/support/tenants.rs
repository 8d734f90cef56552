//! Tenants with an agent, and what they plan: made over HTTP, as users would.

use loopctl_server::db::Login;
use loopctl_server::operator::create_tenant;
use serde_json::{Value, json};

use super::api::Api;
use super::service::Service;

/// Stories of an epic.
pub(crate) const PER_EPIC: usize = 100;
/// What every story is called, which a contract has to repeat.
pub(crate) const TITLE: &str = "A story like the others";
/// Acceptance criteria of every story, which a contract has to count.
pub(crate) const CRITERIA: usize = 2;

pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) user: Api,
    pub(crate) agent: Api,
    pub(crate) agent_id: String,
}

impl Tenant {
    pub(crate) async fn create(service: &Service, slug: &str) -> Self {
        let email = format!("{slug}@loopctl.test");
        let owner = Login::of_socket(service.owner_config()).expect("a socket");
        let (tenant, key) = create_tenant(&owner, slug, slug, &email).await.expect("a tenant");
        let user = Api::new(service, key.raw_key);
        // What is measured is what a request costs, and not how many there may be.
        user.patch("/tenants/me", &json!({"settings": {"rate_limit_requests_per_minute": 1_000_000_000}}))
            .await;
        let answer = user.post("/api_keys", &json!({"name": "agent", "role": "agent"})).await;
        let key = answer["api_key"]["raw_key"].as_str().expect("a key").to_owned();
        let agent = Api::new(service, key);
        let answer =
            agent.post("/agents/register", &json!({"name": "agent", "agent_type": "implementer"})).await;
        let agent_id = answer["agent"]["id"].as_str().expect("an id").to_owned();
        Self { id: tenant.id.to_string(), user, agent, agent_id }
    }

    pub(crate) async fn several(service: &Service, count: usize) -> Vec<Self> {
        let mut tenants = Vec::new();
        for number in 1..=count {
            tenants.push(Self::create(service, &format!("one-of-{count}-{number}")).await);
        }
        tenants
    }

    /// Imports a new project of so many stories without prerequisites; its id.
    pub(crate) async fn plan(&self, slug: &str, stories: usize) -> String {
        let project = self.user.project(slug).await;
        let epics: Vec<Value> = (0..stories.div_ceil(PER_EPIC))
            .map(|before| epic(before + 1, PER_EPIC.min(stories - before * PER_EPIC)))
            .collect();
        self.user.post(&format!("/projects/{project}/import"), &json!({"epics": epics})).await;
        project
    }
}

/// An epic of an import.
pub(crate) fn epic(number: usize, stories: usize) -> Value {
    let criteria: Vec<Value> = (1..=CRITERIA)
        .map(|number| json!({"id": format!("AC-{number}"), "criterion": "It works and is tested"}))
        .collect();
    let stories: Vec<Value> = (1..=stories)
        .map(|story| {
            json!({"number": format!("{number}.{story}"), "title": TITLE,
                   "description": "What it is about. ".repeat(20), "estimated_hours": 4.5,
                   "acceptance_criteria": criteria})
        })
        .collect();
    json!({"number": number, "title": format!("Epic {number}"), "stories": stories})
}
