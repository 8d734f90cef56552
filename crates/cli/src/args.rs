//! The command line: global options and the list of commands. Each group's own options stand beside its code in
//! `commands/`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::commands::{
    admin, agent, analytics, api, auth, budget, bulk, completions, cost, deps, epic, events, evidence,
    export, hook, import, init, keys, knowledge, man, progress, project, review, settings, skill, state,
    status, story, tenant, ui_test, usage, watch, webhook,
};
use crate::demo;
use crate::mcp;
use crate::output::Format;
use crate::pages::STORY_PAGE;
use crate::server;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "loopctl",
    about = "loopctl - Agent-native project state store CLI",
    version,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: GlobalOptions,

    /// Absent: the usage text is printed.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options that may stand before or after the command. They override environment and configuration file.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// Output format: json (default), human or csv
    #[arg(long, global = true, value_enum, hide_possible_values = true)]
    pub(crate) format: Option<Format>,

    /// With json output, print only the `data` member of the response
    #[arg(long, global = true)]
    pub(crate) data_only: bool,

    /// For people: also ids, times to the second, and tables as wide as what they hold
    #[arg(long, global = true)]
    pub(crate) wide: bool,

    /// For people: also what is folded otherwise, such as metadata
    #[arg(long, global = true)]
    pub(crate) full: bool,

    /// For people: no pager (LOOPCTL_PAGER, PAGER) for what is longer than the screen
    #[arg(long, global = true)]
    pub(crate) no_pager: bool,

    /// Server address, for example https://loopctl.example.com
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,

    /// API key (`lc_...`)
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) api_key: Option<String>,

    /// Project: id, slug or name
    #[arg(long, global = true, value_name = "REF")]
    pub(crate) project: Option<String>,

    /// Do not verify the server's TLS certificate
    #[arg(long, global = true)]
    pub(crate) insecure: bool,

    /// Also trust the certificates in this PEM file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// Give up on a request after this many seconds (30)
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: Option<u64>,

    /// Print help
    #[arg(long, short, global = true, action = ArgAction::Help)]
    help: Option<bool>,

    /// Print the version
    #[arg(long, short = 'V', action = ArgAction::Version)]
    version: Option<bool>,
}

impl GlobalOptions {
    /// These, and where they say nothing, others.
    pub(crate) fn or(self, others: &Self) -> Self {
        let others = others.clone();
        Self {
            format: self.format.or(others.format),
            data_only: self.data_only || others.data_only,
            wide: self.wide || others.wide,
            full: self.full || others.full,
            no_pager: self.no_pager || others.no_pager,
            server: self.server.or(others.server),
            api_key: self.api_key.or(others.api_key),
            project: self.project.or(others.project),
            insecure: self.insecure || others.insecure,
            cacert: self.cacert.or(others.cacert),
            timeout: self.timeout.or(others.timeout),
            help: self.help,
            version: self.version,
        }
    }
}

/// Which part of a long list.
#[derive(Debug, Default, Args)]
pub(crate) struct Paging {
    /// Rows per page; without this and --page, all rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Page, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) page: Option<u32>,
}

impl Paging {
    /// True when only a part is wanted.
    pub(crate) fn is_given(&self) -> bool {
        self.limit.is_some() || self.page.is_some()
    }

    /// As query parameters of the story lists, which count rows instead of pages, and send no more than so many.
    pub(crate) fn offset_query(&self) -> [(&'static str, String); 2] {
        let limit = self.limit.unwrap_or(STORY_PAGE).min(STORY_PAGE);
        let offset = u64::from(limit) * u64::from(self.page.unwrap_or(1) - 1);
        [("limit", limit.to_string()), ("offset", offset.to_string())]
    }

    /// As query parameters of a page-style list.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        let page = self.page.map(|page| ("page", page.to_string()));
        limit.into_iter().chain(page).collect()
    }
}

/// Every command. `main::run` has one arm for each variant.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server, with its own PostgreSQL unless DATABASE_URL is set
    #[command(after_help = server::secrets::KEYS)]
    Serve(server::ServeArguments),
    /// Do background jobs and deliver webhooks, beside servers that leave that to it
    #[command(after_help = server::secrets::KEYS)]
    Worker(server::WorkerArguments),
    /// Bring the schema of an external database up to date
    Migrate(server::DatabaseArguments),
    /// What needs access to the database: first tenant, superadmin keys, secrets, background jobs, a look through the log
    #[command(subcommand)]
    Operator(server::OperatorCommand),
    /// Back up loopctl's own PostgreSQL, while it is served or not, and see whether the backup is good
    #[command(after_help = server::backup::BACKUP_NOTES)]
    Backup(server::backup::BackupArguments),
    /// Restore a backup into a data directory
    #[command(after_help = server::backup::RESTORE_NOTES)]
    Restore(server::backup::RestoreArguments),
    /// Watch agents work through a backlog, and cheat in vain, on a server of its own
    Demo(demo::Arguments),
    /// Serve tools for a coding agent over standard input and output (Model Context Protocol)
    #[command(after_help = mcp::ENVIRONMENT)]
    Mcp,
    /// Look whether all is there that an agent needs, and say what mends what is not (exit 1 when something is wrong)
    Doctor,
    /// What programs that run coding agents call at certain moments
    #[command(subcommand)]
    Hook(hook::Command),
    /// Print what makes a shell complete loopctl's commands and options
    #[command(after_help = completions::PLACES)]
    Completions(completions::Arguments),
    /// Print the manual page of loopctl or of one of its commands, or write all of them
    #[command(after_help = man::EXAMPLES)]
    Man(man::Arguments),
    /// The commands that talk to a server.
    #[command(flatten)]
    Client(ClientCommand),
}

/// What the help of the commands for several stories ends with.
const TOGETHER: &str = "Several stories are sent together, 50 at a time, and each succeeds or fails by itself.\n\
    Exit code: 0 when all succeeded, 6 when some failed, 7 when all failed.";
const EACH: &str = "Each story succeeds or fails by itself.\n\
    Exit code: 0 when all succeeded, 6 when some failed, 7 when all failed.";

/// The commands that talk to a server. `commands::dispatch` has one arm for each.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Log in and see who you are
    #[command(subcommand)]
    Auth(auth::Command),
    /// Read and write the configuration file
    #[command(subcommand)]
    Config(settings::Command),
    /// Your tenant
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// API keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Agents
    #[command(subcommand)]
    Agent(agent::Command),
    /// Projects
    #[command(subcommand)]
    Project(project::Command),
    /// Epics
    #[command(subcommand)]
    Epic(epic::Command),
    /// Stories
    #[command(subcommand)]
    Story(story::Command),
    /// Dependencies between stories, and between epics
    #[command(subcommand)]
    Deps(deps::Command),
    /// Set up the programs that agents run in, in a repository: AGENTS.md, skill, MCP server, hooks
    #[command(after_help = init::NOTES)]
    Init(init::Arguments),
    /// Import epics and stories from a file, a directory or standard input (-)
    Import(import::Arguments),
    /// Export a project to standard output, a file or a directory that `import` takes
    #[command(
        after_help = "The document is passed on as the server sends it: one long line of JSON, whatever --format says."
    )]
    Export(export::Arguments),
    /// Progress of a project or epic, or one story
    Status(status::Arguments),
    /// Stories that can be worked on now
    Next(Paging),
    /// Stories that wait for others, and for which ones
    Blocked(Paging),
    /// Stories of a project that are reported done and wait for verification
    Pending(Paging),
    /// Everything that happened to a story
    History(events::HistoryArguments),
    /// The audit log, newest first (user)
    Audit(events::AuditArguments),
    /// What has happened since, oldest first; with --follow, as it happens
    Changes(events::ChangesArguments),
    /// A live board in the terminal: what needs somebody, who holds what, what is claimed and what was verified
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::Arguments),
    /// Acknowledge a story's title and acceptance criteria before claiming it
    Contract(progress::ContractArguments),
    /// Take a contracted story, or several
    #[command(after_help = TOGETHER)]
    Claim(bulk::StoriesArgument),
    /// Start work on a claimed story
    Start(progress::StoryArgument),
    /// Ask for a review of your finished work
    RequestReview(progress::StoryArgument),
    /// Report another agent's story as done
    Report(progress::ReportArguments),
    /// Give a story back
    Unclaim(progress::StoryArgument),
    /// Record a finished review of another agent's story
    ReviewComplete(review::CompleteArguments),
    /// Verify a reported and reviewed story, or several (orchestrator)
    #[command(after_help = TOGETHER)]
    Verify(review::VerifyArguments),
    /// Reject a story, or several, with a reason (orchestrator)
    #[command(after_help = TOGETHER)]
    Reject(review::RejectArguments),
    /// Take a story away from its agent (orchestrator)
    ForceUnclaim(progress::StoryArgument),
    /// Verify all reported and reviewed stories of an epic (orchestrator)
    #[command(after_help = EACH)]
    VerifyAll(bulk::EpicArguments),
    /// Mark stories as verified that were done before loopctl knew them (orchestrator)
    #[command(after_help = TOGETHER)]
    MarkComplete(bulk::MarkCompleteArguments),
    /// Verify a story that was done outside the loop, with the reason on record (orchestrator)
    Backfill(evidence::BackfillArguments),
    /// Verifications of a story (orchestrator)
    Verifications(evidence::ListArguments),
    /// Artifacts of a story
    Artifacts(evidence::ArtifactsArguments),
    /// Acceptance criteria of a story, and which of them are verified
    Criteria(progress::StoryArgument),
    /// State of an orchestrator
    #[command(subcommand)]
    State(state::Command),
    /// What a project has cost: in all, by epic or by agent
    CostSummary(cost::SummaryArguments),
    /// The same as cost-summary; or what one agent or one story has cost
    TokenUsage(cost::UsageArguments),
    /// What is reported of a story, newest first
    TokenReport(cost::ReportArguments),
    /// Stories of a project whose cost stands out, newest first (orchestrator)
    CostAnomalies(cost::AnomaliesArguments),
    /// The same as cost-anomalies
    Anomalies(cost::AnomaliesArguments),
    /// What was used over time, and which models it went to
    #[command(subcommand)]
    Analytics(analytics::Command),
    /// Budgets: how much may be spent, in tokens or money
    #[command(subcommand)]
    Budget(budget::Command),
    /// Reports of what work has used
    #[command(subcommand)]
    Usage(usage::Command),
    /// Skills: the prompts by which agents work, in versions
    #[command(subcommand)]
    Skill(skill::Command),
    /// The wiki: what is known, found, written and kept in order
    #[command(subcommand)]
    Knowledge(knowledge::Command),
    /// Runs of user interface tests
    #[command(subcommand)]
    UiTest(ui_test::Command),
    /// Webhooks: events that are sent to a URL as they happen (user)
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// What superadmins do: tenants, sums, what a scan has found, and commands inside a tenant
    #[command(subcommand)]
    Admin(admin::Command),
    /// Health of the server
    Health,
    /// What moves a story: from where to where, who may, and what is refused with which code
    Lifecycle,
    /// Every route of the API, and whether this key may call it
    #[command(after_help = "Example:\n  loopctl routes --format human")]
    Routes,
    /// Send any request to the API
    Api(api::Arguments),
}
