//! The graph of a project: as it is shown (file 03 §8.3), and as the rules see it (file 03 §7.1).

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use loopctl_core::graph::{Edge, Fault, Graph};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{GRAPH_EPIC_EDGES, GRAPH_EPICS, GRAPH_STORIES, GRAPH_STORY_EDGES};
use crate::App;
use crate::db::{DbError, Statement, Tx};
use crate::http::caller::Agent;
use crate::http::{ApiError, ApiResult, AtLeast, Caller, Id};
use crate::projects::PROJECT_KNOWN;

/// `Edge::Epic` or `Edge::Story`.
pub(super) type MakeEdge = fn(usize, usize) -> Edge;

/// The epics, stories and dependencies of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DependencyGraph {
    /// By position and number.
    epics: Vec<GraphEpic>,
    epic_dependencies: Vec<GraphEdge>,
    story_dependencies: Vec<GraphEdge>,
}

#[derive(Debug, Serialize, ToSchema)]
struct GraphEpic {
    id: Uuid,
    number: i32,
    title: String,
    phase: Option<String>,
    position: i32,
    /// By number.
    stories: Vec<GraphStory>,
}

#[derive(Debug, Serialize, ToSchema)]
struct GraphStory {
    id: Uuid,
    number: String,
    title: String,
    agent_status: String,
    verified_status: String,
    sort_key: i32,
}

#[derive(Debug, Serialize, ToSchema)]
struct GraphEdge {
    /// The dependent.
    from: Uuid,
    /// The prerequisite.
    to: Uuid,
}

/// A project's epics and stories, and what waits for what.
#[utoipa::path(get, path = "/api/v1/projects/{id}/dependency_graph", tag = "Dependencies",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = DependencyGraph, description = "`{\"graph\": …}`"), (status = 404)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
) -> ApiResult<Json<Value>> {
    let params: &[&(dyn ToSql + Sync)] = &[&caller.tenant_id, &project_id];
    let statements = [PROJECT_KNOWN, GRAPH_EPICS, GRAPH_STORIES, GRAPH_EPIC_EDGES, GRAPH_STORY_EDGES];
    let tx = app.db.tenant(caller.tenant_id).await?;
    let answers = tx.finish(&statements.map(|sql| Statement { sql, params })).await?;
    let Some((known, rows)) = answers.split_first() else {
        return Err(ApiError::internal());
    };
    known.first().ok_or_else(ApiError::not_found)?;
    Ok(Json(json!({"graph": DependencyGraph::read(rows)?})))
}

impl DependencyGraph {
    /// Reads the answers to the four statements. Each saw its own moment, unless the project is locked: a story whose
    /// epic came later, or an edge whose end came later, is left out.
    fn read(answers: &[Vec<Row>]) -> Result<Self, DbError> {
        let [epics, stories, epic_edges, story_edges] = answers else {
            return Err(DbError::Unexpected("fewer answers than statements".to_owned()));
        };
        let mut graph = Self {
            epics: epics.iter().map(GraphEpic::read).collect::<Result<_, _>>()?,
            epic_dependencies: Vec::new(),
            story_dependencies: Vec::new(),
        };
        let places: HashMap<Uuid, usize> =
            graph.epics.iter().enumerate().map(|(place, epic)| (epic.id, place)).collect();
        let mut known = HashSet::new();
        for row in stories {
            let story = GraphStory::read(row)?;
            if let Some(place) = places.get(&row.try_get("epic_id")?) {
                known.insert(story.id);
                graph.epics[*place].stories.push(story);
            }
        }
        graph.epic_dependencies = edges(epic_edges, |id| places.contains_key(id))?;
        graph.story_dependencies = edges(story_edges, |id| known.contains(id))?;
        Ok(graph)
    }

    /// The graph of a project that the transaction has locked.
    pub(super) async fn of_locked(tx: &mut Tx, tenant_id: Uuid, project_id: Uuid) -> Result<Self, DbError> {
        let params: &[&(dyn ToSql + Sync)] = &[&tenant_id, &project_id];
        let statements = [GRAPH_EPICS, GRAPH_STORIES, GRAPH_EPIC_EDGES, GRAPH_STORY_EDGES];
        Self::read(&tx.run(&statements.map(|sql| Statement { sql, params })).await?)
    }

    /// Checks one more edge: `make` it of the records with these ids.
    ///
    /// # Errors
    /// 404 when a record is not there, 422 when nothing could ever be worked off (cases 5 and 6 of file 03 §7.1).
    pub(super) fn admits(&self, make: MakeEdge, dependent: Uuid, prerequisite: Uuid) -> ApiResult<()> {
        let (graph, places) = self.as_rules_see_it();
        let place = |id| places.get(&id).copied().ok_or_else(ApiError::not_found);
        let edge = make(place(dependent)?, place(prerequisite)?);
        graph.would_break(edge).map_err(|fault| {
            let reason = graph.explain(&fault);
            match fault {
                Fault::Deadlock(_) => ApiError::unprocessable("cross_level_deadlock", reason),
                Fault::StoryCycle(_) | Fault::EpicCycle(_) => {
                    ApiError::unprocessable("dependency_cycle", "Cycle detected in dependency graph")
                        .with("context", json!({"cycle": reason.trim_start_matches("Cycle detected: ")}))
                }
            }
        })
    }

    /// With the place of every epic among the epics, and of every story among the stories.
    fn as_rules_see_it(&self) -> (Graph, HashMap<Uuid, usize>) {
        let mut graph = Graph::default();
        let mut places = HashMap::new();
        for epic in &self.epics {
            let place = graph.add_epic(epic.number);
            places.insert(epic.id, place);
            for story in &epic.stories {
                places.insert(story.id, graph.add_story(&story.number, place));
            }
        }
        let mut add = |edges: &[GraphEdge], make: MakeEdge| {
            for edge in edges {
                if let (Some(from), Some(to)) = (places.get(&edge.from), places.get(&edge.to)) {
                    graph.add_edge(make(*from, *to));
                }
            }
        };
        add(&self.epic_dependencies, Edge::Epic);
        add(&self.story_dependencies, Edge::Story);
        (graph, places)
    }
}

impl GraphEpic {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            number: row.try_get("number")?,
            title: row.try_get("title")?,
            phase: row.try_get("phase")?,
            position: row.try_get("position")?,
            stories: Vec::new(),
        })
    }
}

impl GraphStory {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            number: row.try_get("number")?,
            title: row.try_get("title")?,
            agent_status: row.try_get("agent_status")?,
            verified_status: row.try_get("verified_status")?,
            sort_key: row.try_get("sort_key")?,
        })
    }
}

/// The edges between known records.
fn edges(rows: &[Row], known: impl Fn(&Uuid) -> bool) -> Result<Vec<GraphEdge>, DbError> {
    let mut edges = Vec::with_capacity(rows.len());
    for row in rows {
        let edge = GraphEdge { from: row.try_get("from")?, to: row.try_get("to")? };
        if known(&edge.from) && known(&edge.to) {
            edges.push(edge);
        }
    }
    Ok(edges)
}
