//! The tenant of the demo: its keys, agents, project and stories, set up like anybody else's over HTTP.

use std::collections::HashMap;
use std::time::Duration;

use loopctl_server::operator::create_tenant;
use loopctl_server::serve::Server;
use reqwest::Method;
use serde_json::{Value, json};

use super::backlog::Backlog;
use crate::client::{Client, Connection};
use crate::error::Error;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Everybody who takes part.
#[derive(Debug)]
pub(super) struct Team {
    /// The tenant's first key, which a person holds.
    pub(super) user: Client,
    /// The same key, for whoever wants to look around afterwards.
    pub(super) user_key: String,
    pub(super) implementers: Vec<Implementer>,
    pub(super) reviewer: Client,
    pub(super) orchestrator: Client,
    pub(super) project: String,
    /// A second project, for work that nobody waits for.
    pub(super) prototypes: String,
    /// Ids of the stories by number.
    pub(super) ids: HashMap<String, String>,
    /// Names of the agents by id.
    pub(super) names: HashMap<String, String>,
}

/// An agent that implements.
#[derive(Debug)]
pub(super) struct Implementer {
    pub(super) agent: Client,
    /// An orchestrator's key linked to the same agent. Having one must not help it.
    pub(super) as_orchestrator: Client,
}

/// Creates keys and registers agents, one after the other.
struct Office {
    address: String,
    user: Client,
    names: HashMap<String, String>,
}

impl Team {
    /// Sets everything up and imports the backlog.
    pub(super) async fn assemble(server: &Server, agents: usize, backlog: &Backlog) -> Result<Self, Error> {
        let address = format!("http://{}", server.address);
        let (_, key) =
            create_tenant(&server.database.owner, "Shedshare", "shedshare", "demo@loopctl.invalid")
                .await
                .map_err(|error| Error::Other(format!("Cannot create the tenant of the demo: {error}")))?;
        let mut office = Office { user: client(&address, &key.raw_key)?, names: HashMap::new(), address };
        // These agents do in a second what others do in a day.
        let settings = json!({"settings": {"rate_limit_requests_per_minute": 1_000_000}});
        office.user.write(Method::PATCH, "/tenants/me", Some(&settings)).await?;
        let mut implementers = Vec::with_capacity(agents);
        for number in 1..=agents {
            let name = format!("implementer-{number}");
            let (agent, id) = office.agent(&name, "implementer").await?;
            let as_orchestrator = office.key(&format!("{name}-escalated"), "orchestrator", Some(&id)).await?;
            implementers.push(Implementer { agent, as_orchestrator });
        }
        let (reviewer, _) = office.agent("reviewer", "implementer").await?;
        let (_, id) = office.agent("orchestrator", "orchestrator").await?;
        let orchestrator = office.key("orchestrator-main", "orchestrator", Some(&id)).await?;
        let (project, ids) = import(&office.user, backlog).await?;
        let prototypes = create_project(&office.user, "Prototypes", "prototypes").await?;
        Ok(Self {
            user: office.user,
            user_key: key.raw_key,
            implementers,
            reviewer,
            orchestrator,
            project,
            prototypes,
            ids,
            names: office.names,
        })
    }

    /// The path of an action on a story.
    pub(super) fn path(&self, number: &str, action: &str) -> String {
        let id = self.ids.get(number).map_or(number, String::as_str);
        format!("/stories/{id}/{action}")
    }

    /// The name of an agent.
    pub(super) fn name(&self, agent: Option<&str>) -> Option<String> {
        let agent = agent?;
        Some(self.names.get(agent).map_or(agent, String::as_str).to_owned())
    }
}

impl Office {
    /// A key, linked to an agent if one is given.
    async fn key(&self, name: &str, role: &str, agent: Option<&str>) -> Result<Client, Error> {
        let mut body = json!({"name": name, "role": role});
        if let Some(agent) = agent {
            body["agent_id"] = json!(agent);
        }
        let created = self.user.post("/api_keys", Some(&body)).await?;
        client(&self.address, &text(&created["api_key"]["raw_key"])?)
    }

    /// A key of role `agent` with its registered agent, and that agent's id.
    async fn agent(&mut self, name: &str, agent_type: &str) -> Result<(Client, String), Error> {
        let key = self.key(name, "agent", None).await?;
        let body = json!({"name": name, "agent_type": agent_type});
        let registered = key.post("/agents/register", Some(&body)).await?;
        let id = text(&registered["agent"]["id"])?;
        self.names.insert(id.clone(), name.to_owned());
        Ok((key, id))
    }
}

async fn create_project(user: &Client, name: &str, slug: &str) -> Result<String, Error> {
    let created = user.post("/projects", Some(&json!({"name": name, "slug": slug}))).await?;
    text(&created["project"]["id"])
}

/// Creates the project of the backlog; gives its id and those of its stories.
async fn import(user: &Client, backlog: &Backlog) -> Result<(String, HashMap<String, String>), Error> {
    let project = create_project(user, "Shedshare", "shedshare").await?;
    user.post(&format!("/projects/{project}/import"), Some(&backlog.payload)).await?;
    let list = user.get("/stories", &[("project_id", &project), ("limit", "500")]).await?;
    let mut ids = HashMap::new();
    for story in list["data"].as_array().into_iter().flatten() {
        ids.insert(text(&story["number"])?, text(&story["id"])?);
    }
    Ok((project, ids))
}

fn client(address: &str, key: &str) -> Result<Client, Error> {
    Client::new(&Connection {
        server: address.to_owned(),
        api_key: Some(key.to_owned()),
        insecure: false,
        cacert: None,
        timeout: TIMEOUT,
        impersonation: None,
    })
}

/// A text of an answer.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::Other(format!("The server's answer holds {value} instead of a text")))
}
