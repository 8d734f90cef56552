//! Dependencies are between epics or between stories: what is different about the two.

use loopctl_core::fields::{Fields, Length, parse_uuid};
use loopctl_core::graph::Edge;
use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use super::graph::MakeEdge;
use super::store::{
    DELETE_EPIC_EDGE, DELETE_STORY_EDGE, EDGES_OF_EPICS, EDGES_OF_STORIES, EPIC_EDGE_PROJECT, EPIC_PROJECTS,
    INSERT_EPIC_EDGE, INSERT_STORY_EDGE, STORY_EDGE_PROJECT, STORY_PROJECTS,
};
use crate::db::{DbError, Tx};
use crate::events::{Event, members};
use crate::http::{ApiError, ApiResult, Body};

/// One of the two levels of dependencies.
pub(crate) struct Level {
    /// `entity_type` of its events.
    entity: &'static str,
    /// The column and the field of the dependent.
    dependent: &'static str,
    /// The column and the field of the prerequisite.
    prerequisite: &'static str,
    depends_on_itself: &'static str,
    different_projects: &'static str,
    /// The unique constraint that two equal edges violate.
    pub(super) unique: &'static str,
    pub(super) edge: MakeEdge,
    pub(super) ends: &'static str,
    pub(super) insert: &'static str,
    pub(super) project: &'static str,
    pub(super) delete: &'static str,
    edges_of: &'static str,
}

/// Between epics.
pub(crate) const EPICS: Level = Level {
    entity: "epic_dependency",
    dependent: "epic_id",
    prerequisite: "depends_on_epic_id",
    depends_on_itself: "An epic cannot depend on itself",
    different_projects: "Epics must belong to the same project",
    unique: "epic_dependencies_edge",
    edge: Edge::Epic,
    ends: EPIC_PROJECTS,
    insert: INSERT_EPIC_EDGE,
    project: EPIC_EDGE_PROJECT,
    delete: DELETE_EPIC_EDGE,
    edges_of: EDGES_OF_EPICS,
};

/// Between stories, also across epics.
pub(crate) const STORIES: Level = Level {
    entity: "story_dependency",
    dependent: "story_id",
    prerequisite: "depends_on_story_id",
    depends_on_itself: "A story cannot depend on itself",
    different_projects: "Stories must belong to the same project",
    unique: "story_dependencies_edge",
    edge: Edge::Story,
    ends: STORY_PROJECTS,
    insert: INSERT_STORY_EDGE,
    project: STORY_EDGE_PROJECT,
    delete: DELETE_STORY_EDGE,
    edges_of: EDGES_OF_STORIES,
};

/// Two different records of one level: the first waits for the second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) dependent: Uuid,
    pub(super) prerequisite: Uuid,
}

impl Level {
    /// Reads the two ends.
    ///
    /// # Errors
    /// Cases 1 to 3 of file 03 §7.1, as far as the body alone tells: 422, and 404 for an id that is no UUID.
    pub(super) fn read(&self, body: &Body) -> ApiResult<Ends> {
        let mut fields = Fields::new(&body.0);
        let mut id = |name| parse_uuid(&fields.required_text(name, Length::max(usize::MAX)));
        let ids = (id(self.dependent), id(self.prerequisite));
        let (Some(dependent), Some(prerequisite)) = fields.finish(ids)? else {
            return Err(ApiError::not_found());
        };
        if dependent == prerequisite {
            return Err(ApiError::unprocessable("depends_on_itself", self.depends_on_itself));
        }
        Ok(Ends { dependent, prerequisite })
    }

    /// The project of both ends.
    ///
    /// # Errors
    /// 404 when one of them is unknown, 422 when they are in different projects.
    pub(super) async fn project_of(&self, tx: &mut Tx, tenant_id: Uuid, ends: Ends) -> ApiResult<Uuid> {
        let ids = vec![ends.dependent, ends.prerequisite];
        let rows = tx.query(self.ends, &[&tenant_id, &ids]).await?;
        let [first, second] = rows.as_slice() else {
            return Err(ApiError::not_found());
        };
        let project_id = first.try_get("project_id")?;
        if project_id != second.try_get::<_, Uuid>("project_id")? {
            return Err(ApiError::unprocessable("different_projects", self.different_projects));
        }
        Ok(project_id)
    }

    /// The audit entry of a new edge.
    pub(super) fn created(&self, row: &Row) -> Result<Event, DbError> {
        let event = Event::new(self.entity, row.try_get("id")?, "created", self.state(row)?);
        Ok(event.project(row.try_get("project_id")?))
    }

    /// The audit entry of an edge that is gone.
    pub(super) fn deleted(&self, row: &Row) -> Result<Event, DbError> {
        let event = Event::deleted(self.entity, row.try_get("id")?, self.state(row)?);
        Ok(event.project(row.try_get("project_id")?))
    }

    /// The audit entries of the edges that go with these records, which are about to be deleted under their project's
    /// lock.
    pub(crate) async fn deleted_with(
        &self,
        tx: &mut Tx,
        tenant_id: Uuid,
        ids: &[Uuid],
    ) -> Result<Vec<Event>, DbError> {
        let rows = tx.query(self.edges_of, &[&tenant_id, &ids]).await?;
        rows.iter().map(|row| self.deleted(row)).collect()
    }

    fn state(&self, row: &Row) -> Result<Value, DbError> {
        let id = |column| -> Result<Value, DbError> { Ok(json!(row.try_get::<_, Uuid>(column)?)) };
        let ends = [(self.dependent, id(self.dependent)?), (self.prerequisite, id(self.prerequisite)?)];
        Ok(Value::Object(members(ends)))
    }
}
