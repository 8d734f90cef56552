//! Rows and SQL of exports. Lists are read in pages, each of which goes on after the last row of the one before.

use loopctl_core::import::InitialStatus;
use loopctl_core::json::JsonText;
use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::hours;
use crate::db::{DbError, Row, Sql, Timestamp, Tx, statements};
use crate::plan::stories::Asked;

/// A project, and when it was read.
#[derive(Row)]
pub(super) struct ProjectRow {
    #[row(sql = "now()")]
    pub(super) exported_at: Timestamp,
    #[row(flatten)]
    pub(super) project: ExportedProject,
}

/// The project; an import ignores it.
#[derive(Serialize, JsonSchema, Row)]
pub(super) struct ExportedProject {
    name: String,
    slug: String,
    description: Option<String>,
    repo_url: Option<String>,
    tech_stack: Option<String>,
    mission: Option<String>,
    status: String,
    metadata: JsonText,
}

/// An epic without its stories.
#[derive(Serialize, JsonSchema, Row)]
pub(super) struct ExportedEpic {
    #[serde(skip)]
    pub(super) id: Uuid,
    number: i32,
    title: String,
    description: Option<String>,
    phase: Option<String>,
    position: i32,
    metadata: JsonText,
}

/// A story.
#[derive(Row)]
pub(super) struct StoryRow {
    #[row(flatten)]
    pub(super) state: StoryState,
    pub(super) metadata: JsonText,
}

/// A story without its metadata.
#[derive(Serialize, JsonSchema, Row)]
pub(super) struct StoryState {
    #[serde(skip)]
    order_key: String,
    number: String,
    title: String,
    description: Option<String>,
    acceptance_criteria: JsonText,
    /// A string where a floating-point number would lose digits: of more than 15, some.
    #[serde(serialize_with = "hours::serialize")]
    #[schemars(with = "Value", extend("type" = ["number", "string", "null"]))]
    estimated_hours: Option<Decimal>,
    agent_status: AgentStatus,
    verified_status: VerifiedStatus,
    assigned_agent_id: Option<Uuid>,
    assigned_at: Option<Timestamp>,
    reported_done_at: Option<Timestamp>,
    verified_at: Option<Timestamp>,
    rejected_at: Option<Timestamp>,
    rejection_reason: Option<String>,
    #[serde(flatten)]
    #[row(flatten)]
    asked: Asked,
}

impl StoryState {
    /// The words with which an import restores its statuses.
    pub(super) fn restoring(&self) -> InitialStatus {
        InitialStatus::restoring(self.agent_status, self.verified_status, self.assigned_at.is_some())
    }
}

/// `{"story": "1.2", "depends_on": "1.1"}`
#[derive(Serialize, JsonSchema, Row)]
pub(super) struct ExportedStoryDependency {
    #[row(sql = "s.order_key")]
    #[serde(skip)]
    order_key: String,
    #[row(sql = "s.number")]
    story: String,
    #[row(sql = "p.order_key")]
    #[serde(skip)]
    p_order_key: String,
    #[row(sql = "p.number")]
    depends_on: String,
}

/// `{"epic": 2, "depends_on": 1}`
#[derive(Serialize, JsonSchema, Row)]
pub(super) struct ExportedEpicDependency {
    #[row(sql = "e.number")]
    epic: i32,
    #[row(sql = "p.number")]
    depends_on: i32,
}

statements! {
    EXPORT_PROJECT -> ProjectRow = "select {*} from projects where tenant_id = $1 and id = $2";
    EXPORT_EPICS -> ExportedEpic = "
        select {*} from epics where tenant_id = $1 and project_id = $2 and number > $3 order by number limit $4";
    EXPORT_STORIES -> StoryRow = "
        select {*} from whole_stories
        where tenant_id = $1 and epic_id = $2 and (order_key, number) > ($3, $4)
        order by order_key, number limit $5";
    EXPORT_STORY_EDGES -> ExportedStoryDependency = "
        select {*} from story_dependencies d
        join stories s on s.tenant_id = d.tenant_id and s.id = d.story_id
        join stories p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
        where d.tenant_id = (select $1::uuid) and d.project_id = (select $2::uuid)
          and (s.order_key, s.number, p.order_key, p.number) > ($3, $4, $5, $6)
        order by s.order_key, s.number, p.order_key, p.number limit $7";
    EXPORT_EPIC_EDGES -> ExportedEpicDependency = "
        select {*} from epic_dependencies d
        join epics e on e.tenant_id = d.tenant_id and e.id = d.epic_id
        join epics p on p.tenant_id = d.tenant_id and p.id = d.depends_on_epic_id
        where d.tenant_id = (select $1::uuid) and d.project_id = (select $2::uuid) and (e.number, p.number) > ($3, $4)
        order by e.number, p.number limit $5";
}

/// Epics or stories of a page: with all their text they may be large.
const RECORDS: i64 = 100;
/// Dependencies of a page: two numbers each. A page is found by looking at all of them, so there should be few pages.
const EDGES: i64 = 50_000;

/// What a place in a list consists of.
type Place<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// A row of a list that is read in pages.
pub(super) trait Listed: Row {
    /// The rows of the tenant `$1` within the record `$2` that come after a place.
    const AFTER: Sql<Self>;
    /// How many rows a page has.
    const PAGE: i64;

    /// Its place.
    fn place(&self) -> Place<'_>;

    /// Before every row.
    fn start() -> Place<'static>;
}

impl Listed for ExportedEpic {
    const AFTER: Sql<Self> = EXPORT_EPICS;
    const PAGE: i64 = RECORDS;

    fn place(&self) -> Place<'_> {
        vec![&self.number]
    }

    fn start() -> Place<'static> {
        vec![&0_i32]
    }
}

impl Listed for StoryRow {
    const AFTER: Sql<Self> = EXPORT_STORIES;
    const PAGE: i64 = RECORDS;

    fn place(&self) -> Place<'_> {
        vec![&self.state.order_key, &self.state.number]
    }

    fn start() -> Place<'static> {
        vec![&"", &""]
    }
}

impl Listed for ExportedStoryDependency {
    const AFTER: Sql<Self> = EXPORT_STORY_EDGES;
    const PAGE: i64 = EDGES;

    fn place(&self) -> Place<'_> {
        vec![&self.order_key, &self.story, &self.p_order_key, &self.depends_on]
    }

    fn start() -> Place<'static> {
        [StoryRow::start(), StoryRow::start()].concat()
    }
}

impl Listed for ExportedEpicDependency {
    const AFTER: Sql<Self> = EXPORT_EPIC_EDGES;
    const PAGE: i64 = EDGES;

    fn place(&self) -> Place<'_> {
        vec![&self.epic, &self.depends_on]
    }

    fn start() -> Place<'static> {
        vec![&0_i32, &0_i32]
    }
}

/// A project in one snapshot of the database.
pub(super) struct Source {
    tx: Tx,
    pub(super) project_id: Uuid,
}

impl Source {
    pub(super) fn new(tx: Tx, project_id: Uuid) -> Self {
        Self { tx, project_id }
    }

    /// The project; None for an unknown one.
    pub(super) async fn project(&mut self) -> Result<Option<ProjectRow>, DbError> {
        self.tx.optional(EXPORT_PROJECT, &[&self.project_id]).await
    }

    /// The next rows within a record, and whether there may be more. `last` is the one that they come after.
    pub(super) async fn page<R: Listed>(
        &mut self,
        within: Uuid,
        last: Option<&R>,
    ) -> Result<(Vec<R>, bool), DbError> {
        let mut params: Place<'_> = vec![&within];
        params.extend(match last {
            Some(row) => row.place(),
            None => R::start(),
        });
        params.push(&R::PAGE);
        let rows = self.tx.all(R::AFTER, &params).await?;
        let more = rows.len() as i64 >= R::PAGE;
        Ok((rows, more))
    }

    /// Gives the connection back.
    pub(super) async fn close(self) -> Result<(), DbError> {
        self.tx.commit(&()).await
    }
}
