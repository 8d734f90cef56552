//! The attacks: each is what one key of an agent or an orchestrator can do to everybody else. What a file prepares is a crowd of
//! clients, which go on until they are stopped.

mod answers;
mod artifacts;
mod criteria;
mod everything;
mod imports;
mod lists;
mod merges;
mod parsing;
mod readers;
mod sockets;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::hostile::{Client, Request};
use crate::support::api::Api;
use crate::support::http::Connection;
use crate::support::service::Service;
use crate::support::tenants::Tenant;

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// A few seconds: whether the attack itself is right.
    Small,
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    Artifacts,
    Lists,
    Imports,
    Criteria,
    Merges,
    Sockets,
    Parsing,
    Readers,
    Answers,
    Everything,
}

impl Attack {
    pub(crate) const ALL: [Self; 10] = [
        Self::Artifacts,
        Self::Lists,
        Self::Imports,
        Self::Criteria,
        Self::Merges,
        Self::Sockets,
        Self::Parsing,
        Self::Readers,
        Self::Answers,
        Self::Everything,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Lists => "lists",
            Self::Imports => "imports",
            Self::Criteria => "criteria",
            Self::Merges => "merges",
            Self::Sockets => "sockets",
            Self::Parsing => "parsing",
            Self::Readers => "readers",
            Self::Answers => "answers",
            Self::Everything => "everything",
        }
    }

    /// The clients of this attack, and what they need to be there.
    pub(crate) async fn prepare(self, hostile: &Hostile, size: Size) -> Vec<Client> {
        match self {
            Self::Artifacts => artifacts::prepare(hostile, artifacts::Scale::of(size)).await,
            Self::Lists => lists::prepare(hostile, lists::Scale::of(size)).await,
            Self::Imports => imports::prepare(hostile, imports::Scale::of(size)).await,
            Self::Criteria => criteria::prepare(hostile, criteria::Scale::of(size)).await,
            Self::Merges => merges::prepare(hostile, merges::Scale::of(size)).await,
            Self::Sockets => sockets::prepare(hostile, sockets::Scale::of(size)).await,
            Self::Parsing => parsing::prepare(hostile, parsing::Scale::of(size)).await,
            Self::Readers => readers::prepare(hostile, readers::Scale::of(size)).await,
            Self::Answers => answers::prepare(hostile, answers::Scale::of(size)).await,
            Self::Everything => everything::prepare(hostile, size).await,
        }
    }
}

/// How many of a file's attack there are, and how large, in either size.
macro_rules! scale {
    ($(#[$about:meta])* $name:ident { $($(#[$note:meta])* $field:ident: $type:ty = $small:expr, $full:expr;)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name {
            $($(#[$note])* pub(crate) $field: $type,)+
        }

        impl $name {
            pub(crate) const SMALL: Self = Self { $($field: $small,)+ };
            pub(crate) const FULL: Self = Self { $($field: $full,)+ };

            pub(crate) const fn of(size: super::Size) -> Self {
                match size {
                    super::Size::Small => Self::SMALL,
                    super::Size::Full => Self::FULL,
                }
            }
        }
    };
}
use scale;

/// A tenant that means no good, with the keys of an agent and of an orchestrator.
pub(crate) struct Hostile {
    tenant: Tenant,
    address: String,
    planner: String,
    database: tokio_postgres::Config,
    projects: AtomicUsize,
}

impl Hostile {
    pub(crate) async fn create(service: &Service, slug: &str) -> Self {
        let tenant = Tenant::create(service, slug).await;
        let answer = tenant.user.post("/api_keys", &json!({"name": "planner", "role": "orchestrator"})).await;
        let planner = answer["api_key"]["raw_key"].as_str().expect("a key").to_owned();
        Self {
            tenant,
            address: service.address.clone(),
            planner,
            database: service.owner_config(),
            projects: AtomicUsize::new(0),
        }
    }

    fn agent(&self) -> &Api {
        &self.tenant.agent
    }

    /// What no project of this tenant is called.
    fn slug(&self) -> String {
        format!("project-{}", self.projects.fetch_add(1, Ordering::Relaxed))
    }

    /// A project of its own for each who wants one.
    async fn project(&self) -> String {
        self.tenant.user.project(&self.slug()).await
    }

    /// A new project with what this import brings.
    async fn planned(&self, import: &Arc<[u8]>) -> String {
        let project = self.project().await;
        self.import(&project, import).await;
        project
    }

    async fn import(&self, project: &str, import: &Arc<[u8]>) {
        self.done(&self.importing(project, import)).await;
    }

    fn importing(&self, project: &str, import: &Arc<[u8]>) -> Request {
        Request::with("POST", &format!("/projects/{project}/import"), &self.planner, import)
    }

    /// What an agent reads.
    fn reading(&self, path: &str) -> Request {
        Request::get(path, &self.agent().key)
    }

    /// The first story of a project.
    async fn story(&self, project: &str) -> String {
        let page: Value = self.agent().get(&format!("/stories?project_id={project}&limit=1")).await;
        page["data"][0]["id"].as_str().expect("a story").to_owned()
    }

    /// Sends a request that has to succeed.
    async fn done(&self, request: &Request) {
        let mut connection = Connection::open(&self.address).await.expect("the server listens");
        let status = connection.exchange(&request.pieces()).await.expect("an answer");
        assert!((200..300).contains(&status), "{}: {status}", request.first_line());
    }
}
