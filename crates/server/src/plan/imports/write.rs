//! Writing a plan: batches of columns, whatever the number of records.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use loopctl_core::import::Plan;
use loopctl_core::number::StoryNumber;
use uuid::Uuid;

use super::store::{
    INSERT_EPIC_EDGES, INSERT_EPICS, INSERT_STORIES, INSERT_STORY_EDGES, REFRESH_RECORDS, Snapshot, Texts,
    UPDATE_EPICS, UPDATE_STORIES,
};
use crate::db::{AsJson, DbError, Tx, column};
use crate::events::Event;
use crate::plan::epics::EpicText;
use crate::plan::stories::{CriteriaList, Digested, StoryText, write_criteria};

/// From so many new stories on, foreign keys are checked with plans made for the size of now. Plans that the
/// connection made while the table was small read the whole table for every row.
const LARGE: usize = 100;

/// From so many new stories on, the planner's statistics are refreshed: those of epics and stories here, for the foreign
/// keys of what follows, and the others after the import. Until then the planner takes the project for empty.
pub(super) const VERY_LARGE: usize = 1000;

/// A record that an import has changed, and what is told of it.
pub(super) struct Changed<T> {
    pub(super) id: Uuid,
    pub(super) new: T,
    pub(super) event: Event,
}

/// A new dependency: its id, the dependent, the prerequisite.
type NewEdge = (Uuid, Uuid, Uuid);

/// What an import has written, for the audit log.
pub(super) struct Written {
    pub(super) epics: HashMap<i32, Uuid>,
    pub(super) stories: HashMap<StoryNumber, Uuid>,
    pub(super) changed_epics: Vec<Changed<EpicText>>,
    pub(super) changed_stories: Vec<Changed<StoryText>>,
    /// The digests of the changed stories.
    pub(super) digests: Vec<Digested>,
    pub(super) epic_edges: Vec<NewEdge>,
    pub(super) story_edges: Vec<NewEdge>,
}

/// Writes the plan into the project.
pub(super) async fn write(
    tx: &mut Tx,
    project_id: Uuid,
    plan: &Plan,
    found: &Snapshot,
    changed_epics: Vec<Changed<EpicText>>,
    changed_stories: Vec<Changed<StoryText>>,
) -> Result<Written, DbError> {
    let epics = ids(&found.epics, plan.new_epics.iter().map(|epic| epic.number));
    let stories = ids(&found.stories, plan.new_stories.iter().map(|story| story.number.clone()));

    write_epics(tx, project_id, plan, &epics, &changed_epics).await?;
    insert_stories(tx, project_id, plan, &stories).await?;
    if plan.new_stories.len() >= VERY_LARGE {
        tx.execute(REFRESH_RECORDS, &[]).await?;
    }
    if plan.new_stories.len() > LARGE {
        tx.forget_plans().await?;
    }
    let digests = update_stories(tx, &changed_stories).await?;
    write_criteria(tx, &criteria_lists(plan, &stories)?).await?;

    let epic_edges = edges(&plan.new_epic_edges, &epics)?;
    let story_edges = edges(&plan.new_story_edges, &stories)?;
    let [edge, dependent, prerequisite] = edge_columns(&epic_edges);
    tx.execute(INSERT_EPIC_EDGES, &[&project_id, &edge, &dependent, &prerequisite]).await?;
    let [edge, dependent, prerequisite] = edge_columns(&story_edges);
    tx.execute(INSERT_STORY_EDGES, &[&project_id, &edge, &dependent, &prerequisite]).await?;
    Ok(Written { epics, stories, changed_epics, changed_stories, digests, epic_edges, story_edges })
}

/// The matched epics that really change.
pub(super) fn changed_epics(plan: &Plan, texts: &Texts) -> Vec<Changed<EpicText>> {
    changes(&plan.updated_epics, &texts.epics, EpicText::changed, EpicText::updated)
}

/// The matched stories that really change.
pub(super) fn changed_stories(plan: &Plan, texts: &Texts) -> Vec<Changed<StoryText>> {
    changes(&plan.updated_stories, &texts.stories, StoryText::changed, StoryText::updated)
}

/// The ids of the records that the project has, and of those that it gets.
fn ids<N: Clone + Eq + Hash>(known: &HashMap<N, Uuid>, new: impl Iterator<Item = N>) -> HashMap<N, Uuid> {
    let known = known.iter().map(|(number, id)| (number.clone(), *id));
    known.chain(new.map(|number| (number, Uuid::now_v7()))).collect()
}

/// The plan names only numbers that the payload or the project has; if not, nothing is written.
pub(super) fn id<N: Eq + Hash + Display>(ids: &HashMap<N, Uuid>, number: &N) -> Result<Uuid, DbError> {
    let id = ids.get(number).copied();
    id.ok_or_else(|| DbError::Unexpected(format!("the plan names unknown number {number}")))
}

/// The matched records that really change.
fn changes<N: Eq + Hash, C, T>(
    planned: &[(N, C)],
    known: &HashMap<N, (Uuid, T)>,
    apply: impl Fn(&T, &C) -> T,
    tell: impl Fn(&T, Uuid, &T) -> Option<Event>,
) -> Vec<Changed<T>> {
    let changed = planned.iter().filter_map(|(number, change)| {
        let (id, old) = known.get(number)?;
        let new = apply(old, change);
        tell(old, *id, &new).map(|event| Changed { id: *id, new, event })
    });
    changed.collect()
}

/// The new dependencies of one kind.
fn edges<N: Eq + Hash + Display>(
    planned: &[(N, N)],
    ids: &HashMap<N, Uuid>,
) -> Result<Vec<NewEdge>, DbError> {
    let edges = planned
        .iter()
        .map(|(dependent, prerequisite)| Ok((Uuid::now_v7(), id(ids, dependent)?, id(ids, prerequisite)?)));
    edges.collect()
}

fn edge_columns(edges: &[NewEdge]) -> [Vec<Uuid>; 3] {
    [column(edges, |edge| edge.0), column(edges, |edge| edge.1), column(edges, |edge| edge.2)]
}

async fn write_epics(
    tx: &mut Tx,
    project_id: Uuid,
    plan: &Plan,
    ids: &HashMap<i32, Uuid>,
    changed: &[Changed<EpicText>],
) -> Result<(), DbError> {
    let new = plan.new_epics.as_slice();
    let id = new.iter().map(|epic| id(ids, &epic.number)).collect::<Result<Vec<_>, _>>()?;
    tx.batch((
        INSERT_EPICS.with(&[
            &project_id,
            &id,
            &column(new, |epic| epic.number),
            &column(new, |epic| epic.title.as_str()),
            &column(new, |epic| epic.description.as_deref()),
            &column(new, |epic| epic.phase.as_deref()),
            &column(new, |epic| epic.position),
            &column(new, |epic| AsJson(&epic.metadata)),
        ]),
        UPDATE_EPICS.with(&[
            &column(changed, |change| change.id),
            &column(changed, |change| change.new.title.as_str()),
            &column(changed, |change| change.new.description.as_deref()),
            &column(changed, |change| change.new.phase.as_deref()),
            &column(changed, |change| change.new.position),
            &column(changed, |change| AsJson(&change.new.metadata)),
        ]),
    ))
    .await
    .map(drop)
}

async fn insert_stories(
    tx: &mut Tx,
    project_id: Uuid,
    plan: &Plan,
    ids: &HashMap<StoryNumber, Uuid>,
) -> Result<(), DbError> {
    let new = plan.new_stories.as_slice();
    if new.is_empty() {
        return Ok(());
    }
    let id = new.iter().map(|story| id(ids, &story.number)).collect::<Result<Vec<_>, _>>()?;
    tx.execute(
        INSERT_STORIES,
        &[
            &project_id,
            &id,
            &column(new, |story| story.epic),
            &column(new, |story| story.number.as_str()),
            &column(new, |story| story.title.as_str()),
            &column(new, |story| story.description.as_deref()),
            &column(new, |story| AsJson(story.acceptance_criteria.as_json())),
            &column(new, |story| story.estimated_hours),
            &column(new, |story| AsJson(&story.metadata)),
            &column(new, |story| story.initial.agent_status().as_str()),
            &column(new, |story| story.initial.verified_status().as_str()),
        ],
    )
    .await
}

async fn update_stories(tx: &mut Tx, changed: &[Changed<StoryText>]) -> Result<Vec<Digested>, DbError> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    tx.all(
        UPDATE_STORIES,
        &[
            &column(changed, |change| change.id),
            &column(changed, |change| change.new.title.as_str()),
            &column(changed, |change| change.new.description.as_deref()),
            &column(changed, |change| AsJson(&change.new.acceptance_criteria)),
            &column(changed, |change| change.new.estimated_hours),
            &column(changed, |change| AsJson(&change.new.metadata)),
        ],
    )
    .await
}

/// The lists of criteria that the plan writes.
fn criteria_lists<'a>(
    plan: &'a Plan,
    stories: &HashMap<StoryNumber, Uuid>,
) -> Result<Vec<CriteriaList<'a>>, DbError> {
    let new = plan.new_stories.iter().map(|story| (&story.number, Some(&story.acceptance_criteria), false));
    let updated = plan.updated_stories.iter();
    let updated = updated.map(|(number, change)| (number, change.acceptance_criteria.as_ref(), true));
    let sent = new.chain(updated).filter_map(|(number, sent, replaces)| Some((number, sent?, replaces)));
    sent.map(|(number, criteria, replaces)| {
        Ok(CriteriaList { story_id: id(stories, number)?, criteria, replaces })
    })
    .collect()
}
