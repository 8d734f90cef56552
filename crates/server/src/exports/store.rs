//! SQL of exports. Lists are read in pages, each of which goes on after the last row of the one before.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::db::{DbError, Tx, statements};

statements! {
    EXPORT_PROJECT = "
        select now() as exported_at, name, slug, description, repo_url, tech_stack, mission, status, metadata
        from projects where tenant_id = $1 and id = $2";
    EXPORT_EPICS = "
        select id, number, title, description, phase, position, metadata from epics
        where tenant_id = $1 and project_id = $2 and number > $3 order by number limit $4";
    EXPORT_STORIES = "
        select major, minor, number, title, description, acceptance_criteria, estimated_hours, agent_status,
               verified_status, assigned_agent_id, assigned_at, reported_done_at, verified_at, rejected_at,
               rejection_reason, metadata
        from stories
        where tenant_id = $1 and epic_id = $2 and (major, minor, number) > ($3, $4, $5)
        order by major, minor, number limit $6";
    EXPORT_STORY_EDGES = "
        select s.major, s.minor, s.number, p.major as p_major, p.minor as p_minor, p.number as p_number
        from story_dependencies d
        join stories s on s.tenant_id = d.tenant_id and s.id = d.story_id
        join stories p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
        where d.tenant_id = (select $1::uuid) and d.project_id = (select $2::uuid)
          and (s.major, s.minor, s.number, p.major, p.minor, p.number) > ($3, $4, $5, $6, $7, $8)
        order by s.major, s.minor, s.number, p.major, p.minor, p.number limit $9";
    EXPORT_EPIC_EDGES = "
        select e.number, p.number as p_number
        from epic_dependencies d
        join epics e on e.tenant_id = d.tenant_id and e.id = d.epic_id
        join epics p on p.tenant_id = d.tenant_id and p.id = d.depends_on_epic_id
        where d.tenant_id = (select $1::uuid) and d.project_id = (select $2::uuid) and (e.number, p.number) > ($3, $4)
        order by e.number, p.number limit $5";
}

/// Epics or stories of a page: with all their text they may be large.
const RECORDS: i64 = 100;
/// Dependencies of a page: two numbers each. A page is found by looking at all of them, so there should be few pages.
const EDGES: i64 = 50_000;

/// A project in one snapshot of the database.
pub(super) struct Source {
    tx: Tx,
    tenant_id: Uuid,
    project_id: Uuid,
}

/// Some rows of a list, in its order.
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    /// Whether there may be more after them.
    pub(super) more: bool,
}

/// Where a story is in the order of its epic.
#[derive(Debug, Clone)]
pub(super) struct StoryKey {
    major: i32,
    minor: i32,
    pub(super) number: String,
}

/// A story dependency: the dependent, the prerequisite.
pub(super) type StoryEdge = (StoryKey, StoryKey);

/// An epic dependency: the dependent, the prerequisite.
pub(super) type EpicEdge = (i32, i32);

impl StoryKey {
    /// Before every story.
    fn start() -> Self {
        Self { major: -1, minor: -1, number: String::new() }
    }

    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            major: row.try_get("major")?,
            minor: row.try_get("minor")?,
            number: row.try_get("number")?,
        })
    }
}

impl Source {
    pub(super) fn new(tx: Tx, tenant_id: Uuid, project_id: Uuid) -> Self {
        Self { tx, tenant_id, project_id }
    }

    /// The project's row; None for an unknown one.
    pub(super) async fn project(&mut self) -> Result<Option<Row>, DbError> {
        self.tx.query_opt(EXPORT_PROJECT, &[&self.tenant_id, &self.project_id]).await
    }

    /// Epics after the one with this number.
    pub(super) async fn epics(&mut self, after: Option<i32>) -> Result<Page<Row>, DbError> {
        let after = after.unwrap_or_default();
        let rows =
            self.tx.query(EXPORT_EPICS, &[&self.tenant_id, &self.project_id, &after, &RECORDS]).await?;
        Page::of(rows, RECORDS, Ok)
    }

    /// An epic's stories after this one, each with its place.
    pub(super) async fn stories(
        &mut self,
        epic_id: Uuid,
        after: Option<StoryKey>,
    ) -> Result<Page<(StoryKey, Row)>, DbError> {
        let StoryKey { major, minor, number } = after.unwrap_or_else(StoryKey::start);
        let rows = self
            .tx
            .query(EXPORT_STORIES, &[&self.tenant_id, &epic_id, &major, &minor, &number, &RECORDS])
            .await?;
        Page::of(rows, RECORDS, |row| Ok((StoryKey::read(&row)?, row)))
    }

    /// Story dependencies after this one.
    pub(super) async fn story_edges(&mut self, after: Option<StoryEdge>) -> Result<Page<StoryEdge>, DbError> {
        let (story, other) = after.unwrap_or_else(|| (StoryKey::start(), StoryKey::start()));
        let rows = self
            .tx
            .query(
                EXPORT_STORY_EDGES,
                &[
                    &self.tenant_id,
                    &self.project_id,
                    &story.major,
                    &story.minor,
                    &story.number,
                    &other.major,
                    &other.minor,
                    &other.number,
                    &EDGES,
                ],
            )
            .await?;
        Page::of(rows, EDGES, |row| {
            let prerequisite = StoryKey {
                major: row.try_get("p_major")?,
                minor: row.try_get("p_minor")?,
                number: row.try_get("p_number")?,
            };
            Ok((StoryKey::read(&row)?, prerequisite))
        })
    }

    /// Epic dependencies after this one.
    pub(super) async fn epic_edges(&mut self, after: Option<EpicEdge>) -> Result<Page<EpicEdge>, DbError> {
        let (epic, other) = after.unwrap_or_default();
        let params: [&(dyn ToSql + Sync); 5] = [&self.tenant_id, &self.project_id, &epic, &other, &EDGES];
        let rows = self.tx.query(EXPORT_EPIC_EDGES, &params).await?;
        Page::of(rows, EDGES, |row| Ok((row.try_get("number")?, row.try_get("p_number")?)))
    }

    /// Gives the connection back.
    pub(super) async fn close(self) -> Result<(), DbError> {
        self.tx.finish(&[]).await?;
        Ok(())
    }
}

impl<T> Page<T> {
    fn of(rows: Vec<Row>, size: i64, read: impl FnMut(Row) -> Result<T, DbError>) -> Result<Self, DbError> {
        let more = rows.len() as i64 >= size;
        Ok(Self { rows: rows.into_iter().map(read).collect::<Result<_, _>>()?, more })
    }
}
