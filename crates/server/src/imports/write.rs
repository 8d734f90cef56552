//! Writing a plan: batches of columns, whatever the number of records.

use std::collections::HashMap;

use loopctl_core::import::Plan;
use serde_json::Value;
use uuid::Uuid;

use super::store::{
    INSERT_EPIC_EDGES, INSERT_EPICS, INSERT_STORIES, INSERT_STORY_EDGES, REFRESH_RECORDS, Snapshot,
    UPDATE_EPICS, UPDATE_STORIES,
};
use crate::db::{DbError, Tx};
use crate::epics::EpicText;
use crate::stories::{CriteriaList, StoryText, criteria_value, write_criteria};

/// From so many new stories on, foreign keys are checked with plans made for the size of now. Plans that the
/// connection made while the table was small read the whole table for every row.
const LARGE: usize = 100;

/// From so many new stories on, the planner's statistics are refreshed: those of epics and stories here, for the foreign
/// keys of what follows, and the others after the import. Until then the planner takes the project for empty.
pub(super) const VERY_LARGE: usize = 1000;

/// A record that an import has changed.
pub(super) struct Change<T> {
    pub(super) id: Uuid,
    pub(super) old: T,
    pub(super) new: T,
}

/// What an import has written, for the audit log and the answer.
pub(super) struct Written {
    pub(super) epics: HashMap<i32, Uuid>,
    pub(super) stories: HashMap<String, Uuid>,
    pub(super) changed_epics: Vec<Change<EpicText>>,
    pub(super) changed_stories: Vec<Change<StoryText>>,
    /// (edge, dependent, prerequisite)
    pub(super) epic_edges: Vec<(Uuid, Uuid, Uuid)>,
    pub(super) story_edges: Vec<(Uuid, Uuid, Uuid)>,
}

/// Writes the plan into the project.
pub(super) async fn write(
    tx: &mut Tx,
    tenant_id: Uuid,
    project_id: Uuid,
    plan: &Plan,
    snapshot: &Snapshot,
) -> Result<Written, DbError> {
    let mut epics: HashMap<i32, Uuid> =
        snapshot.epics.iter().map(|(number, (id, _))| (*number, *id)).collect();
    epics.extend(plan.new_epics.iter().map(|epic| (epic.number, Uuid::now_v7())));
    let mut stories: HashMap<String, Uuid> =
        snapshot.stories.iter().map(|(number, (id, _))| (number.clone(), *id)).collect();
    stories.extend(plan.new_stories.iter().map(|story| (story.number.to_string(), Uuid::now_v7())));

    let changed_epics = changes(&plan.updated_epics, |number| snapshot.epics.get(number), EpicText::changed);
    let changed_stories =
        changes(&plan.updated_stories, |number| snapshot.stories.get(number.as_str()), StoryText::changed);

    insert_epics(tx, tenant_id, project_id, plan, &epics).await?;
    update_epics(tx, tenant_id, &changed_epics).await?;
    insert_stories(tx, tenant_id, project_id, plan, &stories).await?;
    if plan.new_stories.len() >= VERY_LARGE {
        tx.query(REFRESH_RECORDS, &[]).await?;
    }
    if plan.new_stories.len() > LARGE {
        tx.forget_plans().await?;
    }
    update_stories(tx, tenant_id, &changed_stories).await?;
    write_criteria(tx, tenant_id, &criteria_lists(plan, &stories)?).await?;

    let epic_edges: Vec<_> = plan
        .new_epic_edges
        .iter()
        .map(|(dependent, prerequisite)| {
            Ok((Uuid::now_v7(), id(&epics, dependent)?, id(&epics, prerequisite)?))
        })
        .collect::<Result<_, DbError>>()?;
    let story_edges: Vec<_> = plan
        .new_story_edges
        .iter()
        .map(|(dependent, prerequisite)| {
            let dependent = id(&stories, dependent.as_str())?;
            Ok((Uuid::now_v7(), dependent, id(&stories, prerequisite.as_str())?))
        })
        .collect::<Result<_, DbError>>()?;
    insert_edges(tx, INSERT_EPIC_EDGES, tenant_id, project_id, &epic_edges).await?;
    insert_edges(tx, INSERT_STORY_EDGES, tenant_id, project_id, &story_edges).await?;
    Ok(Written { epics, stories, changed_epics, changed_stories, epic_edges, story_edges })
}

/// The plan names only numbers that the payload or the snapshot holds; if not, nothing is written.
pub(super) fn id<K, Q>(ids: &HashMap<K, Uuid>, number: &Q) -> Result<Uuid, DbError>
where
    K: std::borrow::Borrow<Q> + Eq + std::hash::Hash,
    Q: Eq + std::hash::Hash + std::fmt::Display + ?Sized,
{
    ids.get(number)
        .copied()
        .ok_or_else(|| DbError::Unexpected(format!("the plan names unknown number {number}")))
}

/// The matched records that really change.
fn changes<'a, N, C, T: Clone + PartialEq + 'a>(
    planned: &'a [(N, C)],
    find: impl Fn(&N) -> Option<&'a (Uuid, T)>,
    apply: impl Fn(&T, &C) -> T,
) -> Vec<Change<T>> {
    let changed = planned.iter().filter_map(|(number, change)| {
        let (id, old) = find(number)?;
        let new = apply(old, change);
        (new != *old).then(|| Change { id: *id, old: old.clone(), new })
    });
    changed.collect()
}

/// Column by column: what `unnest` takes.
fn column<'a, T, C>(records: &'a [T], of: impl Fn(&'a T) -> C) -> Vec<C> {
    records.iter().map(of).collect()
}

async fn insert_epics(
    tx: &mut Tx,
    tenant_id: Uuid,
    project_id: Uuid,
    plan: &Plan,
    ids: &HashMap<i32, Uuid>,
) -> Result<(), DbError> {
    let new = plan.new_epics.as_slice();
    if new.is_empty() {
        return Ok(());
    }
    let id = new.iter().map(|epic| id(ids, &epic.number)).collect::<Result<Vec<_>, _>>()?;
    tx.query(
        INSERT_EPICS,
        &[
            &tenant_id,
            &project_id,
            &id,
            &column(new, |epic| epic.number),
            &column(new, |epic| epic.title.as_str()),
            &column(new, |epic| epic.description.as_deref()),
            &column(new, |epic| epic.phase.as_deref()),
            &column(new, |epic| epic.position),
            &column(new, |epic| Value::Object(epic.metadata.clone())),
        ],
    )
    .await?;
    Ok(())
}

async fn update_epics(tx: &mut Tx, tenant_id: Uuid, changed: &[Change<EpicText>]) -> Result<(), DbError> {
    if changed.is_empty() {
        return Ok(());
    }
    tx.query(
        UPDATE_EPICS,
        &[
            &tenant_id,
            &column(changed, |change| change.id),
            &column(changed, |change| change.new.title.as_str()),
            &column(changed, |change| change.new.description.as_deref()),
            &column(changed, |change| change.new.phase.as_deref()),
            &column(changed, |change| change.new.position),
            &column(changed, |change| &change.new.metadata),
        ],
    )
    .await?;
    Ok(())
}

async fn insert_stories(
    tx: &mut Tx,
    tenant_id: Uuid,
    project_id: Uuid,
    plan: &Plan,
    ids: &HashMap<String, Uuid>,
) -> Result<(), DbError> {
    let new = plan.new_stories.as_slice();
    if new.is_empty() {
        return Ok(());
    }
    let id = new.iter().map(|story| id(ids, story.number.as_str())).collect::<Result<Vec<_>, _>>()?;
    tx.query(
        INSERT_STORIES,
        &[
            &tenant_id,
            &project_id,
            &id,
            &column(new, |story| story.epic),
            &column(new, |story| story.number.as_str()),
            &column(new, |story| story.number.major()),
            &column(new, |story| story.number.minor()),
            &column(new, |story| story.title.as_str()),
            &column(new, |story| story.description.as_deref()),
            &column(new, |story| criteria_value(&story.acceptance_criteria)),
            &column(new, |story| story.estimated_hours),
            &column(new, |story| Value::Object(story.metadata.clone())),
            &column(new, |story| story.initial.agent_status().as_str()),
            &column(new, |story| story.initial.verified_status().as_str()),
        ],
    )
    .await?;
    Ok(())
}

async fn update_stories(tx: &mut Tx, tenant_id: Uuid, changed: &[Change<StoryText>]) -> Result<(), DbError> {
    if changed.is_empty() {
        return Ok(());
    }
    tx.query(
        UPDATE_STORIES,
        &[
            &tenant_id,
            &column(changed, |change| change.id),
            &column(changed, |change| change.new.title.as_str()),
            &column(changed, |change| change.new.description.as_deref()),
            &column(changed, |change| &change.new.acceptance_criteria),
            &column(changed, |change| change.new.estimated_hours),
            &column(changed, |change| &change.new.metadata),
        ],
    )
    .await?;
    Ok(())
}

/// The lists of criteria that the plan writes.
fn criteria_lists<'a>(
    plan: &'a Plan,
    stories: &HashMap<String, Uuid>,
) -> Result<Vec<CriteriaList<'a>>, DbError> {
    let new = plan
        .new_stories
        .iter()
        .map(|story| (&story.number, Some(story.acceptance_criteria.as_slice()), false));
    let updated = plan
        .updated_stories
        .iter()
        .map(|(number, change)| (number, change.acceptance_criteria.as_deref(), true));
    let mut lists = Vec::new();
    for (number, criteria, replaces) in new.chain(updated) {
        if let Some(criteria) = criteria {
            lists.push(CriteriaList { story_id: id(stories, number.as_str())?, criteria, replaces });
        }
    }
    Ok(lists)
}

async fn insert_edges(
    tx: &mut Tx,
    sql: &'static str,
    tenant_id: Uuid,
    project_id: Uuid,
    edges: &[(Uuid, Uuid, Uuid)],
) -> Result<(), DbError> {
    if edges.is_empty() {
        return Ok(());
    }
    tx.query(
        sql,
        &[
            &tenant_id,
            &project_id,
            &column(edges, |edge| edge.0),
            &column(edges, |edge| edge.1),
            &column(edges, |edge| edge.2),
        ],
    )
    .await?;
    Ok(())
}
