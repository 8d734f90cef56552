//! The loopctl server: a multi-tenant state store for AI coding agents, served over REST.
//!
//! A resource is a folder: `mod.rs` its routes, `api.rs` requests, answers and handlers, `store.rs` its rows and SQL.
//! Every mutation takes the same five steps: caller, tenant transaction, decide (a pure function of
//! `loopctl-core`), apply, record events and answer. See ARCHITECTURE.md.

mod app;
mod audit;
pub mod config;
mod cost;
pub mod db;
mod discovery;
mod events;
mod evidence;
mod health;
mod http;
mod identity;
pub mod jobs;
mod knowledge;
mod life;
mod mcp;
mod metrics;
pub mod operator;
mod plan;
mod reach;
mod routes;
mod schedule;
mod scrape;
pub mod secrets;
pub mod serve;
mod site;
mod skills;
mod trust_loop;
mod web;
mod webhooks;

pub use events::CATALOGUE;
pub use knowledge::extraction::{AnthropicOptions, ExtractionOptions, ExtractorChoice};
pub use routes::openapi;
pub use schedule::Settings;

/// The version that `/health`, `/api/v1/` and the command line tell.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every SQL statement of the request path, with its resource. A test prepares them all against the migrated schema as
/// the application role, and looks whether they yield what is read.
pub fn statements() -> impl Iterator<Item = (&'static str, &'static db::Named)> {
    let resources = [
        ("admin_halts", identity::admin::HALTS_STATEMENTS),
        ("admin_stats", identity::admin::STATS_STATEMENTS),
        ("admin_tenants", identity::admin::TENANTS_STATEMENTS),
        ("admin_violators", identity::admin::VIOLATORS_STATEMENTS),
        ("agents", identity::agents::STATEMENTS),
        ("authenticators", identity::authenticators::STATEMENTS),
        ("articles", knowledge::articles::STATEMENTS),
        ("article_drafts", knowledge::articles::DRAFT_STATEMENTS),
        ("article_links", knowledge::links::STATEMENTS),
        ("knowledge_export", knowledge::export::STATEMENTS),
        ("knowledge_index", knowledge::index::STATEMENTS),
        ("knowledge_lint", knowledge::lint::STATEMENTS),
        ("artifacts", evidence::artifacts::STATEMENTS),
        ("audit_key", identity::audit_key::STATEMENTS),
        ("caller", app::STATEMENTS),
        ("key_uses", app::USES_STATEMENTS),
        ("idempotency", app::TICKET_STATEMENTS),
        ("budgets", cost::budgets::STATEMENTS),
        ("budgets_held", cost::budgets::HELD_STATEMENTS),
        ("budget_alerts", cost::budgets::ALERT_STATEMENTS),
        ("usage", cost::usage::STATEMENTS),
        ("cost_anomalies", cost::anomalies::STATEMENTS),
        ("cost_periods", cost::period::STATEMENTS),
        ("cost_retention", cost::retention::STATEMENTS),
        ("cost_summaries", cost::summaries::STATEMENTS),
        ("cost_of_agents", cost::analytics::AGENTS_STATEMENTS),
        ("cost_of_epics", cost::analytics::EPICS_STATEMENTS),
        ("cost_of_models", cost::analytics::MODELS_STATEMENTS),
        ("cost_of_projects", cost::analytics::PROJECTS_STATEMENTS),
        ("cost_of_stories", cost::analytics::STORIES_STATEMENTS),
        ("cost_trends", cost::analytics::TRENDS_STATEMENTS),
        ("cost_pages", cost::analytics::PAGED_STATEMENTS),
        ("model_mix", cost::analytics::MIX_STATEMENTS),
        ("model_profile", cost::analytics::PROFILE_STATEMENTS),
        ("criteria", plan::stories::CRITERIA_STATEMENTS),
        ("custody", plan::stories::CUSTODY_STATEMENTS),
        ("dependencies", plan::dependencies::STATEMENTS),
        ("epics", plan::epics::STATEMENTS),
        ("audit", audit::STATEMENTS),
        ("audit_of_all", audit::ALL_STATEMENTS),
        ("changes", audit::CHANGES_STATEMENTS),
        ("stream", audit::STREAM_STATEMENTS),
        ("events", events::STATEMENTS),
        ("exports", plan::exports::STATEMENTS),
        ("db", db::STATEMENTS),
        ("db_admin", db::ADMIN_STATEMENTS),
        ("history", audit::HISTORY_STATEMENTS),
        ("health", health::STATEMENTS),
        ("imports", plan::imports::STATEMENTS),
        ("jobs", jobs::STATEMENTS),
        ("keys", identity::keys::STATEMENTS),
        ("knowledge_pipeline", knowledge::pipeline::STATEMENTS),
        ("knowledge_work", knowledge::work::STATEMENTS),
        ("article_reads", knowledge::access::STATEMENTS),
        ("reads_of_agents", knowledge::analytics::AGENTS_STATEMENTS),
        ("reads_asked", knowledge::analytics::ASKED_STATEMENTS),
        ("reads_of_projects", knowledge::analytics::PROJECTS_STATEMENTS),
        ("article_stats", knowledge::analytics::STATS_STATEMENTS),
        ("top_articles", knowledge::analytics::TOP_STATEMENTS),
        ("unused_articles", knowledge::analytics::UNUSED_STATEMENTS),
        ("measured", cost::measured::STATEMENTS),
        ("orchestrator_state", evidence::orchestrator_state::STATEMENTS),
        ("project_lock", plan::projects::LOCK_STATEMENTS),
        ("projects", plan::projects::STATEMENTS),
        ("schedule", schedule::STATEMENTS),
        ("rates", app::RATES_STATEMENTS),
        ("scrape", scrape::STATEMENTS),
        ("serve", serve::STATEMENTS),
        ("attempts", identity::ATTEMPTS_STATEMENTS),
        ("signup", identity::signup::STATEMENTS),
        ("sessions", identity::sessions::STATEMENTS),
        ("onboarding", identity::onboarding::STATEMENTS),
        ("account", identity::account::STATEMENTS),
        ("session", app::SESSION_STATEMENTS),
        ("skills", skills::STATEMENTS),
        ("cost_of_skills", skills::COST_STATEMENTS),
        ("stories", plan::stories::STATEMENTS),
        ("story_locks", plan::stories::LOCK_STATEMENTS),
        ("tenants", identity::tenants::STATEMENTS),
        ("trust_loop", trust_loop::STATEMENTS),
        ("ui_tests", evidence::ui_tests::STATEMENTS),
        ("webhook_delivery", webhooks::DELIVERY_STATEMENTS),
        ("webhooks", webhooks::STATEMENTS),
    ];
    resources.into_iter().flat_map(|(resource, named)| named.iter().map(move |named| (resource, named)))
}
