//! Dependencies are between epics or between stories: what is different about the two.

use loopctl_core::code::Code;
use loopctl_core::graph::Edge;
use serde_json::{Value, json};
use uuid::Uuid;

use super::graph::MakeEdge;
use super::store::{
    DELETE_EPIC_EDGE, DELETE_STORY_EDGE, EDGES_OF_EPICS, EDGES_OF_STORIES, EPIC_EDGE_PROJECT, EPIC_PROJECTS,
    EpicDependency, INSERT_EPIC_EDGE, INSERT_STORY_EDGE, STORY_EDGE_PROJECT, STORY_PROJECTS, StoryDependency,
};
use crate::db::{DbError, Row, Sql, Tx};
use crate::events::Event;
use crate::http::{ApiError, ApiResult};

/// One of the two levels of dependencies, which are rows of type `D`.
pub(crate) struct Level<D> {
    /// `entity_type` of its events.
    entity: &'static str,
    /// The id and the project of a dependency, and what is told of it.
    told: fn(&D) -> (Uuid, Uuid, Value),
    pub(super) depends_on_itself: &'static str,
    different_projects: &'static str,
    /// The unique constraint that two equal edges violate.
    pub(super) unique: &'static str,
    pub(super) edge: MakeEdge,
    /// The projects of the records with these ids.
    projects: Sql<Uuid>,
    pub(super) insert: Sql<D>,
    pub(super) project: Sql<Uuid>,
    pub(super) delete: Sql<D>,
    edges_of: Sql<D>,
}

/// Between epics.
pub(crate) const EPICS: Level<EpicDependency> = Level {
    entity: "epic_dependency",
    told: |edge| (edge.id, edge.project_id, json!(edge.ends)),
    depends_on_itself: "An epic cannot depend on itself",
    different_projects: "Epics must belong to the same project",
    unique: "epic_dependencies_edge",
    edge: Edge::Epic,
    projects: EPIC_PROJECTS,
    insert: INSERT_EPIC_EDGE,
    project: EPIC_EDGE_PROJECT,
    delete: DELETE_EPIC_EDGE,
    edges_of: EDGES_OF_EPICS,
};

/// Between stories, also across epics.
pub(crate) const STORIES: Level<StoryDependency> = Level {
    entity: "story_dependency",
    told: |edge| (edge.id, edge.project_id, json!(edge.ends)),
    depends_on_itself: "A story cannot depend on itself",
    different_projects: "Stories must belong to the same project",
    unique: "story_dependencies_edge",
    edge: Edge::Story,
    projects: STORY_PROJECTS,
    insert: INSERT_STORY_EDGE,
    project: STORY_EDGE_PROJECT,
    delete: DELETE_STORY_EDGE,
    edges_of: EDGES_OF_STORIES,
};

impl<D: Row> Level<D> {
    /// The project of both ends.
    ///
    /// # Errors
    /// 404 when one of them is unknown, 422 when they are in different projects.
    pub(super) async fn project_of(&self, tx: &mut Tx, ends: [Uuid; 2]) -> ApiResult<Uuid> {
        let projects = tx.all(self.projects, &[&ends.as_slice()]).await?;
        match projects[..] {
            [first, second] if first == second => Ok(first),
            [_, _] => Err(ApiError::unprocessable(Code::DifferentProjects, self.different_projects)),
            _ => Err(ApiError::not_found()),
        }
    }

    /// The audit entry of a new dependency.
    pub(super) fn created(&self, edge: &D) -> Event {
        let (id, project_id, told) = (self.told)(edge);
        Event::new(self.entity, id, "created", told).project(project_id)
    }

    /// The audit entry of a dependency that is gone.
    pub(super) fn deleted(&self, edge: &D) -> Event {
        let (id, project_id, told) = (self.told)(edge);
        Event::deleted(self.entity, id, told).project(project_id)
    }

    /// The audit entries of the dependencies that go with these records, which are about to be deleted under their
    /// project's lock.
    pub(crate) async fn deleted_with(&self, tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Event>, DbError> {
        let edges = tx.all(self.edges_of, &[&ids]).await?;
        Ok(edges.iter().map(|edge| self.deleted(edge)).collect())
    }
}
