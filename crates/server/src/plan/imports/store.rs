//! Rows and SQL of imports. Of the whole project only numbers and titles are read, and what is to change of what it has; writes take whole
//! columns as arrays: the number of statements does not grow with the payload.

use std::collections::HashMap;
use std::hash::Hash;

use loopctl_core::import::{Existing, Plan};
use loopctl_core::number::StoryNumber;
use uuid::Uuid;

use crate::db::{DbError, Params, Row, Tx, statements};
use crate::plan::epics::EpicText;
use crate::plan::stories::{Digested, StoryText};

/// An epic that the project has.
#[derive(Row)]
pub(super) struct KnownEpic {
    id: Uuid,
    number: i32,
}

/// What it says.
#[derive(Row)]
pub(super) struct KnownEpicText {
    id: Uuid,
    number: i32,
    #[row(flatten)]
    text: EpicText,
}

/// A story that the project has, with the number of its epic.
#[derive(Row)]
pub(super) struct KnownStory {
    id: Uuid,
    number: String,
    #[row(sql = "(select e.number from epics e where e.tenant_id = s.tenant_id and e.id = s.epic_id)")]
    epic: i32,
    title: String,
}

/// What it says.
#[derive(Row)]
pub(super) struct KnownStoryText {
    id: Uuid,
    number: String,
    #[row(flatten)]
    text: StoryText,
}

/// A story dependency by numbers.
#[derive(Row)]
pub(super) struct KnownStoryEdge {
    #[row(sql = "s.number")]
    dependent: String,
    #[row(sql = "p.number")]
    prerequisite: String,
}

/// An epic dependency by numbers.
#[derive(Row)]
pub(super) struct KnownEpicEdge {
    #[row(sql = "e.number")]
    dependent: i32,
    #[row(sql = "p.number")]
    prerequisite: i32,
}

statements! {
    PROJECT_EPICS -> KnownEpic = "
        select {*} from epics where tenant_id = $1 and project_id = $2 order by number";
    PROJECT_STORIES -> KnownStory = "
        select {*} from stories s where tenant_id = $1 and project_id = $2 order by id";
    EPIC_TEXTS -> KnownEpicText = "select {*} from epics where tenant_id = $1 and id = any($2)";
    STORY_TEXTS -> KnownStoryText = "select {*} from stories where tenant_id = $1 and id = any($2)";
    /// In the order of ids as everywhere, and before any epic: a changed position reaches the epic's stories.
    LOCK_PROJECT_STORIES = "
        select t.id from stories s join story_states t on t.tenant_id = s.tenant_id and t.id = s.id
        where s.tenant_id = $1 and s.project_id = $2 order by t.id for no key update of t";
    PROJECT_STORY_EDGES -> KnownStoryEdge = "
        select {*} from story_dependencies d
        join stories s on s.tenant_id = d.tenant_id and s.id = d.story_id
        join stories p on p.tenant_id = d.tenant_id and p.id = d.depends_on_story_id
        where d.tenant_id = (select $1::uuid) and d.project_id = (select $2::uuid)";
    PROJECT_EPIC_EDGES -> KnownEpicEdge = "
        select {*} from epic_dependencies d
        join epics e on e.tenant_id = d.tenant_id and e.id = d.epic_id
        join epics p on p.tenant_id = d.tenant_id and p.id = d.depends_on_epic_id
        where d.tenant_id = (select $1::uuid) and d.project_id = (select $2::uuid)";
    /// Epics and stories: what foreign keys point at.
    REFRESH_RECORDS = "select refresh_record_statistics() from tenants where id = $1";
    /// Criteria and dependencies: what goes with a deleted story.
    REFRESH_DETAILS = "select refresh_detail_statistics()";
    INSERT_EPICS = "
        insert into epics (tenant_id, project_id, id, number, title, description, phase, position, metadata)
        select $1, $2, * from unnest($3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::int[], $9::json[])";
    UPDATE_EPICS = "
        update epics e set title = n.title, description = n.description, phase = n.phase, position = n.position,
                           metadata = n.metadata, updated_at = clock_timestamp()
        from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::json[])
             as n (id, title, description, phase, position, metadata)
        where e.tenant_id = $1 and e.id = n.id";
    /// States begin with their stories, as new ones; of those that arrive as something else it is said here.
    INSERT_STORIES = "
        with planned as (
            select n.*, e.id as epic_id
            from unnest($3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::numeric[], $10::json[],
                        $11::text[], $12::text[])
                 as n (id, epic, number, title, description, criteria, hours, metadata, agent_status, verified_status)
            join epics e on e.tenant_id = $1 and e.project_id = $2 and e.number = n.epic
        ), inserted as (
            insert into stories (tenant_id, project_id, id, epic_id, number, title, description, acceptance_criteria,
                                 estimated_hours, metadata)
            select $1, $2, id, epic_id, number, title, description, criteria, hours, metadata from planned
            returning id
        )
        insert into story_states (tenant_id, id, agent_status, verified_status, reported_done_at, verified_at,
                                  verification_source)
        select $1, id, agent_status, verified_status,
               case when agent_status = 'reported_done' then statement_timestamp() end,
               case when verified_status = 'verified' then statement_timestamp() end,
               case when verified_status = 'verified' then 'import' end
        from planned
        where (agent_status, verified_status) <> ('pending', 'unverified')
          -- Once all of them are there; to join them would be to compare each with each.
          and (select count(*) from inserted) > 0";
    UPDATE_STORIES -> Digested = "
        update stories s set title = n.title, description = n.description, acceptance_criteria = n.criteria,
                             estimated_hours = n.hours, metadata = n.metadata, updated_at = clock_timestamp()
        from unnest($2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::numeric[], $7::json[])
             as n (id, title, description, criteria, hours, metadata)
        where s.tenant_id = $1 and s.id = n.id
        returning {*}";
    /// Of these numbers, those that an agent had touched before their story was deleted.
    TOUCHED_BEFORE -> String = "
        select n.number from unnest($3::text[]) with ordinality as n (number, place)
        where exists (select from touched_numbers t
                      where t.tenant_id = $1 and t.project_id = $2 and t.number = n.number)
        order by place";
    INSERT_EPIC_EDGES = "
        insert into epic_dependencies (tenant_id, project_id, id, epic_id, depends_on_epic_id)
        select $1, $2, * from unnest($3::uuid[], $4::uuid[], $5::uuid[])";
    INSERT_STORY_EDGES = "
        insert into story_dependencies (tenant_id, project_id, id, story_id, depends_on_story_id)
        select $1, $2, * from unnest($3::uuid[], $4::uuid[], $5::uuid[])";
}

/// What the project has, by number, read under its lock.
pub(super) struct Snapshot {
    pub(super) epics: HashMap<i32, Uuid>,
    pub(super) stories: HashMap<StoryNumber, Uuid>,
    pub(super) titles: HashMap<StoryNumber, String>,
    pub(super) existing: Existing,
}

/// What the records say that a plan changes, by number.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) epics: HashMap<i32, (Uuid, EpicText)>,
    pub(super) stories: HashMap<StoryNumber, (Uuid, StoryText)>,
}

/// Reads what the plan changes.
pub(super) async fn texts(tx: &mut Tx, plan: &Plan, found: &Snapshot) -> Result<Texts, DbError> {
    let epics: Vec<Uuid> = known(&found.epics, &plan.updated_epics);
    let stories: Vec<Uuid> = known(&found.stories, &plan.updated_stories);
    if epics.is_empty() && stories.is_empty() {
        return Ok(Texts::default());
    }
    let (epics, stories) = tx.batch((EPIC_TEXTS.with(&[&epics]), STORY_TEXTS.with(&[&stories]))).await?;
    let epics = epics.into_iter().map(|KnownEpicText { id, number, text }| (number, (id, text)));
    let stories = stories
        .into_iter()
        .map(|KnownStoryText { id, number, text }| (StoryNumber::stored(number), (id, text)));
    Ok(Texts { epics: epics.collect(), stories: stories.collect() })
}

/// The ids of what is to change.
fn known<N: Eq + Hash, C>(ids: &HashMap<N, Uuid>, changes: &[(N, C)]) -> Vec<Uuid> {
    changes.iter().filter_map(|(number, _)| ids.get(number).copied()).collect()
}

/// Locks the project's stories and reads what it has. Also what is only added to: stories that are there may wait for new ones.
pub(super) async fn snapshot(tx: &mut Tx, project_id: Uuid) -> Result<Snapshot, DbError> {
    let params: Params<'_> = &[&project_id];
    tx.execute(LOCK_PROJECT_STORIES, params).await?;
    let (known_epics, known_stories, story_edges, epic_edges) = tx
        .batch((
            PROJECT_EPICS.with(params),
            PROJECT_STORIES.with(params),
            PROJECT_STORY_EDGES.with(params),
            PROJECT_EPIC_EDGES.with(params),
        ))
        .await?;
    let mut existing = Existing {
        story_edges: story_edges.into_iter().map(|edge| (edge.dependent, edge.prerequisite)).collect(),
        epic_edges: epic_edges.into_iter().map(|edge| (edge.dependent, edge.prerequisite)).collect(),
        ..Existing::default()
    };
    let (mut epics, mut stories, mut titles) = (HashMap::new(), HashMap::new(), HashMap::new());
    for KnownEpic { id, number } in known_epics {
        existing.epics.push(number);
        epics.insert(number, id);
    }
    for KnownStory { id, number, epic, title } in known_stories {
        let number = StoryNumber::stored(number);
        existing.stories.push((number.clone(), epic));
        titles.insert(number.clone(), title);
        stories.insert(number, id);
    }
    Ok(Snapshot { epics, stories, titles, existing })
}
