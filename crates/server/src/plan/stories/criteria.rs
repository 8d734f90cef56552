//! The rows that mirror the lists of acceptance criteria, written in the transaction that writes the lists.

use loopctl_core::criteria::{self, Criteria};
use uuid::Uuid;

use crate::db::{AsJson, DbError, Tx, column, statements};

statements! {
    /// Criteria that vanished from the lists of the stories `$2`. Those that stay are hashed, however few the planner expects: as a join
    /// with them it would be planned for a story without criteria, and look through all of them for each of thousands.
    DELETE_CRITERIA = "
        delete from story_acceptance_criteria c
        where c.tenant_id = $1 and c.story_id = any($2)
          and (c.story_id, c.ac_id) not in (select n.story_id, n.ac_id from unnest($3::uuid[], $4::text[]) as n (story_id, ac_id))";
    /// A criterion that says the same as before keeps its status and evidence; a changed one is pending again.
    UPSERT_CRITERIA = "
        insert into story_acceptance_criteria as c
            (tenant_id, id, story_id, position, ac_id, description, verification_criterion)
        select $1, * from unnest($2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::jsonb[])
        on conflict on constraint story_acceptance_criteria_ac_id do update set
            position = excluded.position, description = excluded.description,
            verification_criterion = excluded.verification_criterion, updated_at = clock_timestamp(),
            status = case when (c.description, c.verification_criterion)
                             = (excluded.description, excluded.verification_criterion)
                          then c.status else 'pending' end,
            verified_at = case when (c.description, c.verification_criterion)
                                  = (excluded.description, excluded.verification_criterion) then c.verified_at end,
            evidence_path = case when (c.description, c.verification_criterion)
                                    = (excluded.description, excluded.verification_criterion) then c.evidence_path end";
}

/// A story whose list was written.
pub(crate) struct CriteriaList<'a> {
    /// The story.
    pub(crate) story_id: Uuid,
    /// Its list.
    pub(crate) criteria: &'a Criteria,
    /// Whether the story had a list before.
    pub(crate) replaces: bool,
}

/// Brings the rows of these stories in step with their lists. The stories are new, or locked.
pub(crate) async fn write_criteria(tx: &mut Tx, lists: &[CriteriaList<'_>]) -> Result<(), DbError> {
    let replaced: Vec<Uuid> = lists.iter().filter(|list| list.replaces).map(|list| list.story_id).collect();
    let rows: Vec<_> = lists
        .iter()
        .flat_map(|list| criteria::rows(list.criteria).into_iter().map(|row| (list.story_id, row)))
        .collect();
    let story_ids = column(&rows, |(story_id, _)| *story_id);
    let ac_ids = column(&rows, |(_, row)| row.ac_id.as_str());
    if !replaced.is_empty() {
        tx.execute(DELETE_CRITERIA, &[&replaced, &story_ids, &ac_ids]).await?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let ids = column(&rows, |_| Uuid::now_v7());
    let positions = column(&rows, |(_, row)| row.position);
    let descriptions = column(&rows, |(_, row)| row.description.as_str());
    let verifications = column(&rows, |(_, row)| AsJson(&row.verification_criterion));
    tx.execute(UPSERT_CRITERIA, &[&ids, &story_ids, &positions, &ac_ids, &descriptions, &verifications]).await
}
