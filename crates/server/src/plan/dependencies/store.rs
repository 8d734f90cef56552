//! Rows and SQL of dependencies.

use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use loopctl_core::request::{Request, id};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// Two epics, of which the first waits for the second.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema, Row, Request)]
pub(crate) struct EpicDependencyCreateRequest {
    /// The epic that waits.
    #[rule(id().required())]
    pub(super) epic_id: Uuid,
    /// The epic whose stories must all be verified first.
    #[rule(id().required())]
    pub(super) depends_on_epic_id: Uuid,
}

/// Two stories, of which the first waits for the second.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema, Row, Request)]
pub(crate) struct StoryDependencyCreateRequest {
    /// The story that waits.
    #[rule(id().required())]
    pub(super) story_id: Uuid,
    /// The story that must be verified first.
    #[rule(id().required())]
    pub(super) depends_on_story_id: Uuid,
}

/// An epic that waits for all stories of another.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct EpicDependency {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    #[serde(flatten)]
    #[row(flatten)]
    pub(super) ends: EpicDependencyCreateRequest,
    inserted_at: Timestamp,
    #[serde(skip)]
    pub(super) project_id: Uuid,
}

/// A story that waits for another.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct StoryDependency {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    #[serde(flatten)]
    #[row(flatten)]
    pub(super) ends: StoryDependencyCreateRequest,
    inserted_at: Timestamp,
    #[serde(skip)]
    pub(super) project_id: Uuid,
}

/// An epic of a graph.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct EpicNode {
    pub(super) id: Uuid,
    pub(super) number: i32,
    title: String,
    phase: Option<String>,
    position: i32,
}

/// A story of a graph.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct StoryNode {
    pub(super) id: Uuid,
    pub(super) number: String,
    title: String,
    agent_status: AgentStatus,
    verified_status: VerifiedStatus,
    sort_key: i32,
    #[serde(skip)]
    pub(super) epic_id: Uuid,
}

/// A dependency of a graph.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct GraphEdge {
    /// The dependent.
    pub(super) from: Uuid,
    /// The prerequisite.
    pub(super) to: Uuid,
}

statements! {
    EPIC_PROJECTS -> Uuid = "select project_id from epics where tenant_id = $1 and id = any($2)";
    STORY_PROJECTS -> Uuid = "select project_id from stories where tenant_id = $1 and id = any($2)";
    INSERT_EPIC_EDGE -> EpicDependency = "
        insert into epic_dependencies (tenant_id, project_id, id, epic_id, depends_on_epic_id)
        values ($1, $2, $3, $4, $5)
        returning {*}";
    INSERT_STORY_EDGE -> StoryDependency = "
        insert into story_dependencies (tenant_id, project_id, id, story_id, depends_on_story_id)
        values ($1, $2, $3, $4, $5)
        returning {*}";
    EPIC_EDGE_PROJECT -> Uuid = "select project_id from epic_dependencies where tenant_id = $1 and id = $2";
    STORY_EDGE_PROJECT -> Uuid = "select project_id from story_dependencies where tenant_id = $1 and id = $2";
    DELETE_EPIC_EDGE -> EpicDependency =
        "delete from epic_dependencies where tenant_id = $1 and id = $2 returning {*}";
    DELETE_STORY_EDGE -> StoryDependency =
        "delete from story_dependencies where tenant_id = $1 and id = $2 returning {*}";
    /// Edges with either end among `$2`.
    EDGES_OF_EPICS -> EpicDependency = "
        select {*} from epic_dependencies
        where tenant_id = $1 and (epic_id = any($2) or depends_on_epic_id = any($2))
        order by inserted_at, id";
    /// As `EDGES_OF_EPICS`.
    EDGES_OF_STORIES -> StoryDependency = "
        select {*} from story_dependencies
        where tenant_id = $1 and (story_id = any($2) or depends_on_story_id = any($2))
        order by inserted_at, id";

    LIST_EPIC_EDGES -> list of EpicDependency = {
        within: "projects where tenant_id = $1 and id = $2",
        from: "epic_dependencies where tenant_id = $1 and project_id = $2",
        page: "order by inserted_at, id limit $3 offset $4",
    };
    /// Either end is a story of the epic.
    LIST_STORY_EDGES -> list of StoryDependency = {
        within: "epics where tenant_id = $1 and id = $2",
        from: "
            story_dependencies
            where tenant_id = $1 and project_id = (select project_id from epics where tenant_id = $1 and id = $2)
              and (story_id in (select id from stories where tenant_id = $1 and epic_id = $2)
                   or depends_on_story_id in (select id from stories where tenant_id = $1 and epic_id = $2))",
        page: "order by inserted_at, id limit $3 offset $4",
    };

    GRAPH_EPICS -> EpicNode = "
        select {*} from epics where tenant_id = $1 and project_id = $2 order by position, number, id";
    GRAPH_STORIES -> StoryNode = "
        select {*} from whole_stories where tenant_id = $1 and project_id = $2 order by order_key, number, id";
    GRAPH_EPIC_EDGES -> GraphEdge = "
        select epic_id as \"from\", depends_on_epic_id as \"to\" from epic_dependencies
        where tenant_id = $1 and project_id = $2 order by inserted_at, id";
    GRAPH_STORY_EDGES -> GraphEdge = "
        select story_id as \"from\", depends_on_story_id as \"to\" from story_dependencies
        where tenant_id = $1 and project_id = $2 order by inserted_at, id";
}
