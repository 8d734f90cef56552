//! Writing a plan: batches of columns, whatever the number of records.

use std::collections::HashMap;

use loopctl_core::criteria::{self, Criterion};
use loopctl_core::import::{EpicChange, Plan, StoryChange};
use serde_json::Value;
use uuid::Uuid;

use super::store::{
    DELETE_CRITERIA, EpicText, INSERT_EPIC_EDGES, INSERT_EPICS, INSERT_STORIES, INSERT_STORY_EDGES, Snapshot,
    StoryText, UPDATE_EPICS, UPDATE_STORIES, UPSERT_CRITERIA,
};
use crate::db::{DbError, Tx};

/// From so many new stories on, foreign keys are checked with plans made for the size of now. Plans that the
/// connection made while the table was small read the whole table for every row.
const LARGE: usize = 100;

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

    let changed_epics = changes(&plan.updated_epics, |change| snapshot.epics.get(&change.number), apply_epic);
    let changed_stories =
        changes(&plan.updated_stories, |change| snapshot.stories.get(change.number.as_str()), apply_story);

    insert_epics(tx, tenant_id, project_id, plan, &epics).await?;
    update_epics(tx, tenant_id, &changed_epics).await?;
    insert_stories(tx, tenant_id, project_id, plan, &stories).await?;
    if plan.new_stories.len() > LARGE {
        tx.forget_plans().await?;
    }
    update_stories(tx, tenant_id, &changed_stories).await?;
    write_criteria(tx, tenant_id, plan, &stories).await?;

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
fn changes<'a, C, T: Clone + PartialEq + 'a>(
    planned: &'a [C],
    find: impl Fn(&C) -> Option<&'a (Uuid, T)>,
    apply: impl Fn(&T, &C) -> T,
) -> Vec<Change<T>> {
    let changed = planned.iter().filter_map(|change| {
        let (id, old) = find(change)?;
        let new = apply(old, change);
        (new != *old).then(|| Change { id: *id, old: old.clone(), new })
    });
    changed.collect()
}

fn apply_epic(old: &EpicText, change: &EpicChange) -> EpicText {
    EpicText {
        title: change.title.clone().unwrap_or_else(|| old.title.clone()),
        description: change.description.clone().unwrap_or_else(|| old.description.clone()),
        phase: change.phase.clone().unwrap_or_else(|| old.phase.clone()),
        position: change.position.unwrap_or(old.position),
        metadata: change.metadata.clone().map_or_else(|| old.metadata.clone(), Value::Object),
    }
}

fn apply_story(old: &StoryText, change: &StoryChange) -> StoryText {
    StoryText {
        title: change.title.clone().unwrap_or_else(|| old.title.clone()),
        description: change.description.clone().unwrap_or_else(|| old.description.clone()),
        acceptance_criteria: change
            .acceptance_criteria
            .as_deref()
            .map_or_else(|| old.acceptance_criteria.clone(), list),
        estimated_hours: change.estimated_hours.or(old.estimated_hours),
        metadata: change.metadata.clone().map_or_else(|| old.metadata.clone(), Value::Object),
    }
}

fn list(criteria: &[Criterion]) -> Value {
    criteria.iter().cloned().map(Value::Object).collect()
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
            &column(new, |story| list(&story.acceptance_criteria)),
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

/// Keeps the criteria rows in step with the lists that the import wrote (file 03 §6.2).
async fn write_criteria(
    tx: &mut Tx,
    tenant_id: Uuid,
    plan: &Plan,
    stories: &HashMap<String, Uuid>,
) -> Result<(), DbError> {
    let new = plan.new_stories.iter().map(|story| (&story.number, story.acceptance_criteria.as_slice()));
    let replaced = plan
        .updated_stories
        .iter()
        .filter_map(|change| Some((&change.number, change.acceptance_criteria.as_deref()?)));
    let mut replaced_ids = Vec::new();
    let mut rows = Vec::new();
    for (number, list) in new {
        let story_id = id(stories, number.as_str())?;
        rows.extend(criteria::rows(list).into_iter().map(|row| (story_id, row)));
    }
    for (number, list) in replaced {
        let story_id = id(stories, number.as_str())?;
        replaced_ids.push(story_id);
        rows.extend(criteria::rows(list).into_iter().map(|row| (story_id, row)));
    }
    let (story_ids, ac_ids) = (column(&rows, |(id, _)| *id), column(&rows, |(_, row)| row.ac_id.as_str()));
    if !replaced_ids.is_empty() {
        tx.query(DELETE_CRITERIA, &[&tenant_id, &replaced_ids, &story_ids, &ac_ids]).await?;
    }
    if !rows.is_empty() {
        tx.query(
            UPSERT_CRITERIA,
            &[
                &tenant_id,
                &column(&rows, |_| Uuid::now_v7()),
                &story_ids,
                &column(&rows, |(_, row)| row.position),
                &ac_ids,
                &column(&rows, |(_, row)| row.description.as_str()),
                &column(&rows, |(_, row)| &row.verification_criterion),
            ],
        )
        .await?;
    }
    Ok(())
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
