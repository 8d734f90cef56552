//! The loopctl server: a multi-tenant state store for AI coding agents, served over REST.
//!
//! A resource is a folder: `mod.rs` its routes, `api.rs` requests, responses and handlers, `store.rs` its SQL.
//! Every mutation takes the same five steps: caller, tenant transaction, decide (a pure function of
//! `loopctl-core`), apply, record events and answer. See ARCHITECTURE.md.

mod agents;
mod artifacts;
pub mod config;
pub mod db;
mod dependencies;
mod epics;
mod events;
mod exports;
mod health;
mod http;
mod imports;
mod keys;
pub mod operator;
mod orchestrator_state;
mod projects;
mod routes;
pub mod serve;
mod stories;
mod tenants;
mod trust_loop;
mod ui_tests;

use std::sync::Arc;

pub use routes::openapi;

/// The version that `/health`, `/api/v1/` and the command line tell.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every handler can reach. Holds no state of its own: run as many servers as you like.
#[derive(Clone)]
pub(crate) struct App {
    /// The application's connections.
    pub(crate) db: db::Db,
    /// How clients reach this server, without a trailing slash; links in answers start with it.
    pub(crate) public_url: Arc<str>,
}

/// Every SQL statement of the request path: (resource, name, text). A test prepares them all against the
/// migrated schema as the application role.
pub fn statements() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let resources: [(&str, &[(&str, &str)]); 20] = [
        ("agents", agents::STATEMENTS),
        ("artifacts", artifacts::STATEMENTS),
        ("caller", http::caller::STATEMENTS),
        ("criteria", stories::CRITERIA_STATEMENTS),
        ("dependencies", dependencies::STATEMENTS),
        ("epics", epics::STATEMENTS),
        ("events", events::STATEMENTS),
        ("exports", exports::STATEMENTS),
        ("health", health::STATEMENTS),
        ("history", events::history::STATEMENTS),
        ("imports", imports::STATEMENTS),
        ("keys", keys::STATEMENTS),
        ("orchestrator_state", orchestrator_state::STATEMENTS),
        ("project_lock", projects::LOCK_STATEMENTS),
        ("projects", projects::STATEMENTS),
        ("serve", serve::STATEMENTS),
        ("stories", stories::STATEMENTS),
        ("tenants", tenants::STATEMENTS),
        ("trust_loop", trust_loop::STATEMENTS),
        ("ui_tests", ui_tests::STATEMENTS),
    ];
    let named = |(resource, statements): (&'static str, &'static [(&'static str, &'static str)])| {
        statements.iter().map(move |(name, sql)| (resource, *name, *sql))
    };
    resources.into_iter().flat_map(named)
}
