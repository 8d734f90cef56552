//! The graph of a project: as it is shown, and as the rules see it.

use std::collections::{HashMap, HashSet};

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::graph::{Edge, Fault, Graph};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::store::{
    EpicNode, GRAPH_EPIC_EDGES, GRAPH_EPICS, GRAPH_STORIES, GRAPH_STORY_EDGES, GraphEdge, StoryNode,
};
use crate::app::{Agent, AtLeast, Caller};
use crate::db::{DbError, Params, Tx};
use crate::http::{ApiError, ApiResult, Id, one};
use crate::plan::projects::PROJECT_KNOWN;

/// `Edge::Epic` or `Edge::Story`.
pub(super) type MakeEdge = fn(usize, usize) -> Edge;

one! { pub(super) DependencyGraphResponse { graph: DependencyGraph } }

/// The epics, stories and dependencies of a project.
#[derive(Serialize, JsonSchema)]
pub(super) struct DependencyGraph {
    /// By position and number.
    epics: Vec<GraphEpic>,
    epic_dependencies: Vec<GraphEdge>,
    story_dependencies: Vec<GraphEdge>,
}

#[derive(Serialize, JsonSchema)]
struct GraphEpic {
    #[serde(flatten)]
    epic: EpicNode,
    /// By number.
    stories: Vec<StoryNode>,
}

pub(super) async fn show(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
) -> ApiResult<Json<DependencyGraphResponse>> {
    let params: Params<'_> = &[&project_id];
    let batch = (
        PROJECT_KNOWN.with(params),
        GRAPH_EPICS.with(params),
        GRAPH_STORIES.with(params),
        GRAPH_EPIC_EDGES.with(params),
        GRAPH_STORY_EDGES.with(params),
    );
    let (known, epics, stories, epic_edges, story_edges) = caller.read(batch).await?;
    known.first().ok_or_else(ApiError::not_found)?;
    Ok(Json(DependencyGraphResponse { graph: DependencyGraph::of(epics, stories, epic_edges, story_edges) }))
}

impl DependencyGraph {
    /// Each part saw its own moment, unless the project is locked: a story whose epic came later, or an edge whose end
    /// came later, is left out.
    fn of(
        epics: Vec<EpicNode>,
        stories: Vec<StoryNode>,
        mut epic_dependencies: Vec<GraphEdge>,
        mut story_dependencies: Vec<GraphEdge>,
    ) -> Self {
        let mut epics: Vec<_> =
            epics.into_iter().map(|epic| GraphEpic { epic, stories: Vec::new() }).collect();
        let places: HashMap<Uuid, usize> =
            epics.iter().enumerate().map(|(place, epic)| (epic.epic.id, place)).collect();
        let mut known = HashSet::new();
        for story in stories {
            if let Some(place) = places.get(&story.epic_id) {
                known.insert(story.id);
                epics[*place].stories.push(story);
            }
        }
        epic_dependencies.retain(|edge| places.contains_key(&edge.from) && places.contains_key(&edge.to));
        story_dependencies.retain(|edge| known.contains(&edge.from) && known.contains(&edge.to));
        Self { epics, epic_dependencies, story_dependencies }
    }

    /// The graph of a project that the transaction has locked.
    pub(super) async fn of_locked(tx: &mut Tx, project_id: Uuid) -> Result<Self, DbError> {
        let params: Params<'_> = &[&project_id];
        let batch = (
            GRAPH_EPICS.with(params),
            GRAPH_STORIES.with(params),
            GRAPH_EPIC_EDGES.with(params),
            GRAPH_STORY_EDGES.with(params),
        );
        let (epics, stories, epic_edges, story_edges) = tx.batch(batch).await?;
        Ok(Self::of(epics, stories, epic_edges, story_edges))
    }

    /// Checks one more edge: `make` it of the records with these ids.
    ///
    /// # Errors
    /// 404 when a record is not there, 422 when nothing could ever be worked off.
    pub(super) fn admits(&self, make: MakeEdge, dependent: Uuid, prerequisite: Uuid) -> ApiResult<()> {
        let (graph, places) = self.as_rules_see_it();
        let place = |id| places.get(&id).copied().ok_or_else(ApiError::not_found);
        let edge = make(place(dependent)?, place(prerequisite)?);
        graph.would_break(edge).map_err(|fault| {
            let reason = graph.explain(&fault);
            match fault {
                Fault::Deadlock(_) => ApiError::unprocessable(Code::CrossLevelDeadlock, reason),
                Fault::StoryCycle(_) | Fault::EpicCycle(_) => {
                    ApiError::unprocessable(Code::DependencyCycle, "Cycle detected in dependency graph")
                        .with("context", json!({"cycle": reason.trim_start_matches("Cycle detected: ")}))
                }
            }
        })
    }

    /// With the place of every epic among the epics, and of every story among the stories.
    fn as_rules_see_it(&self) -> (Graph, HashMap<Uuid, usize>) {
        let mut graph = Graph::default();
        let mut places = HashMap::new();
        for GraphEpic { epic, stories } in &self.epics {
            let place = graph.add_epic(epic.number);
            places.insert(epic.id, place);
            for story in stories {
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
