//! `admin tenants|tenant|suspend|activate|clear-halt|stats|audit|violators|resolve|ignore|impersonate`: what superadmins do.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{dispatch, events, given, given_parameters, not_blank, one_of};
use crate::args::{Command as Line, Paging};
use crate::client::{Impersonation, borrowed};
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Fact};
use crate::layout::object::folded;
use crate::layout::table::Column;
use crate::layout::{Screen, times};
use crate::output::{footer, rows_of};
use crate::{json_argument, pages, resolve, table, usage};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List tenants
    Tenants {
        /// Only of this status: active, suspended, deactivated or pending_enrollment
        #[arg(long)]
        status: Option<String>,
        /// Only with this in the name or the slug
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a tenant, with how much of everything it has
    Tenant {
        /// Tenant: id or slug
        tenant: String,
    },
    /// Suspend a tenant: its keys are let in no more
    Suspend {
        /// Tenant: id or slug
        tenant: String,
    },
    /// Let a suspended tenant in again
    Activate {
        /// Tenant: id or slug
        tenant: String,
    },
    /// End the halt of a tenant's custody: one of its authenticators has signed for that, or it has none and a reason is given
    ClearHalt {
        /// Tenant: id or slug
        tenant: String,
        /// Why, of a tenant that has no authenticator; its log tells it
        #[arg(long, value_name = "TEXT", required_unless_present = "assertion")]
        reason: Option<String>,
        /// What the authenticator has signed: JSON, @file or -
        #[arg(long, value_name = "JSON")]
        assertion: Option<String>,
    },
    /// How much of everything there is, over all tenants
    Stats,
    /// The audit log of all tenants, newest first
    Audit {
        /// Only of this tenant: id or slug
        #[arg(long, value_name = "REF")]
        tenant: Option<String>,
        #[command(flatten)]
        arguments: events::AuditArguments,
    },
    /// What `operator violators scan` has found that ought not to be there, newest first
    Violators {
        /// Only of this tenant: id or slug
        #[arg(long, value_name = "REF")]
        tenant: Option<String>,
        /// Only of this type: orphaned_agent_ref, ...
        #[arg(long = "type", value_name = "TYPE")]
        violation_type: Option<String>,
        /// pending (default), resolved, ignored or all
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Say of a violation that it is mended
    Resolve(Settling),
    /// Say of a violation that it may stay as it is
    Ignore(Settling),
    /// Run another command inside a tenant
    #[command(
        override_usage = USAGE,
        after_help = "What is done is told in the tenant's log as done by this superadmin."
    )]
    Impersonate(Impersonating),
}

#[derive(Debug, Args)]
pub(crate) struct Settling {
    /// Id of the violation
    id: String,
    /// What was done about it, or why nothing is
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Impersonating {
    /// Tenant: id or slug
    tenant: String,
    /// Take exactly this role: user, orchestrator or agent
    #[arg(long = "as", value_name = "ROLE")]
    role: Option<String>,
    /// `--` and the command, or get PATH, or post PATH [JSON]
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// The two forms of an impersonation.
const USAGE: &str = "loopctl admin impersonate <tenant_id> get|post <path> [json_body]\n       \
                     loopctl admin impersonate <tenant> [--as user|orchestrator|agent] -- <command>...";

const TENANT_COLUMNS: &[&str] = &[
    "id",
    "name",
    "slug",
    "status",
    "email",
    "project_count",
    "story_count",
    "agent_count",
    "api_key_count",
    "inserted_at",
];
const TENANTS_TOLD: &[Column<'_>] = &[
    Column::text("name"),
    Column::reference("slug"),
    Column::status("status"),
    Column::number("project_count").called("projects"),
    Column::number("story_count").called("stories"),
    Column::number("agent_count").called("agents"),
    Column::number("api_key_count").called("keys"),
    Column::word("email").if_wide(),
    Column::time("inserted_at").if_wide(),
    Column::id("id"),
];
const VIOLATION_COLUMNS: &[&str] =
    &["id", "tenant_id", "violation_type", "entity_type", "entity_id", "status", "discovered_at", "detail"];
const STATUSES: &[&str] = &["active", "suspended", "deactivated", "pending_enrollment"];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Tenants { status, search, paging } => {
            if let Some(status) = &status {
                one_of("status", status, STATUSES)?;
            }
            let filters = given_parameters([("status", status), ("search", search)]);
            let body =
                pages::list(&context.client()?, "/admin/tenants", &borrowed(&filters), &paging).await?;
            context.output.table(&body, rows_of(&body), TENANT_COLUMNS, TENANTS_TOLD, "No tenants.")
        }
        Command::Tenant { tenant } => {
            let client = context.client()?;
            let id = resolve::tenant(&client, &tenant).await?.id;
            let body = client.get(&format!("/admin/tenants/{id}"), &[]).await?;
            context.output.object(&body, "tenant")
        }
        Command::Suspend { tenant } => step(context, &tenant, "suspend").await,
        Command::Activate { tenant } => step(context, &tenant, "activate").await,
        Command::ClearHalt { tenant, reason, assertion } => {
            let assertion = assertion.map(|json| json_argument::object("--assertion", &json)).transpose()?;
            let reason = reason.map(|reason| not_blank("--reason", &reason).map(Value::from)).transpose()?;
            let client = context.client()?;
            let id = resolve::tenant(&client, &tenant).await?.id;
            let body = given([("override_reason", reason), ("webauthn_assertion", assertion)]);
            let answer = client.post(&format!("/admin/tenants/{id}/clear-halt"), Some(&body)).await?;
            context.output.object(&answer, "data")
        }
        Command::Stats => {
            let body = context.client()?.get("/admin/stats", &[]).await?;
            context.output.object(&body, "stats")
        }
        Command::Audit { tenant, arguments } => {
            events::audit_of_all(context, arguments, tenant.as_deref()).await
        }
        Command::Violators { tenant, violation_type, status, paging } => {
            if let Some(status) = &status {
                one_of("status", status, &["pending", "resolved", "ignored", "all"])?;
            }
            let client = context.client()?;
            let tenant_id = match tenant {
                Some(tenant) => Some(resolve::tenant(&client, &tenant).await?.id),
                None => None,
            };
            let filters = given_parameters([
                ("tenant_id", tenant_id),
                ("violation_type", violation_type),
                ("status", status),
            ]);
            let body = pages::list(&client, "/admin/violators", &borrowed(&filters), &paging).await?;
            let none = "Nothing was found that ought not to be there.";
            let rows = rows_of(&body);
            if !context.output.human() || rows.is_empty() {
                return context.output.list(&body, VIOLATION_COLUMNS, none);
            }
            let screen = context.output.screen();
            let mut block = Block::new(screen);
            rows.iter().for_each(|row| violation(&mut block, row, screen));
            block.blank();
            block.line(footer(&body, rows.len()));
            context.output.block(block)
        }
        Command::Resolve(settling) => settle(context, settling, "resolve").await,
        Command::Ignore(settling) => settle(context, settling, "ignore").await,
        Command::Impersonate(arguments) => impersonate(context, arguments).await,
    }
}

/// What was found, and the id by which it is settled.
fn violation(block: &mut Block<'_>, row: &Value, screen: &Screen) {
    let of = |name: &str| table::plain(&row[name]);
    block.blank();
    block.heading("", &of("violation_type"));
    let detail =
        row["detail"].as_object().map_or_else(|| of("detail"), |detail| folded(detail, screen.width));
    block.facts(&[
        Fact::status("status", of("status")),
        Fact::new("found", times::told(&of("discovered_at"), screen)),
        Fact::new("tenant", of("tenant_id")),
        Fact::new("what", format!("{} {}", of("entity_type"), of("entity_id"))),
        Fact::new("detail", detail),
        Fact::new("id", of("id")),
    ]);
}

async fn step(context: &Context, tenant: &str, step: &str) -> Result<(), Error> {
    let client = context.client()?;
    let id = resolve::tenant(&client, tenant).await?.id;
    let body = client.post(&format!("/admin/tenants/{id}/{step}"), Some(&json!({}))).await?;
    context.output.object(&body, "tenant")
}

async fn settle(context: &Context, settling: Settling, step: &str) -> Result<(), Error> {
    let id = resolve::id("violation", &settling.id)?;
    let body = json!({"note": settling.note.unwrap_or_default()});
    let answer = context.client()?.post(&format!("/admin/violators/{id}/{step}"), Some(&body)).await?;
    context.output.object(&answer, "data")
}

async fn impersonate(context: &Context, arguments: Impersonating) -> Result<(), Error> {
    let Impersonating { tenant, role, command } = arguments;
    if let Some(role) = &role {
        one_of("role", role, &["user", "orchestrator", "agent"])?;
    }
    // The command line is read before anything is sent: what cannot be meant is refused, and help needs no server.
    let words = match command.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => return Err(Error::Refused(format!("Usage: {USAGE}"))),
        [method @ ("get" | "post"), path, body @ ..] if body.len() <= usize::from(*method == "post") => {
            ["api", method, path].iter().chain(body).map(|word| (*word).to_owned()).collect()
        }
        ["get" | "post", ..] => return Err(Error::Refused(format!("Usage: {USAGE}"))),
        _ => command,
    };
    let line = std::iter::once("loopctl".to_owned()).chain(words).map(Into::into);
    let line = match usage::parse(line) {
        Ok(line) => line,
        Err(stop) => return context.output.line(&stop.text()?),
    };
    let Some(Line::Client(command)) = line.command else {
        let message = "Inside a tenant only commands that talk to a server can be run";
        return Err(Error::Usage(message.to_owned()));
    };
    let client = context.client()?;
    let tenant_id = resolve::tenant(&client, &tenant).await?.id;
    if resolve::uuid(&tenant).is_some() {
        // Of a key that may not do this the server would do what is asked in the key's own tenant: here it refuses.
        client.get(&format!("/admin/tenants/{tenant_id}"), &[]).await?;
    }
    let inside = context.inside(line.globals, Impersonation { tenant_id, role })?;
    // A command within a command.
    Box::pin(dispatch(&inside, command)).await
}
