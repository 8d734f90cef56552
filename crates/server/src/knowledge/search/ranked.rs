//! Which articles answer a question, and how well: the one way for searches and contexts.

use std::sync::Arc;

use loopctl_core::knowledge::Status;
use loopctl_embed::Small;
use uuid::Uuid;

use super::shelf::{Found, Wanted, by_both, by_meaning};
use super::store::{BY_WORDS, QUESTION_STEMS, Stems};
use crate::app::Identity;
use crate::db::Params;
use crate::http::{ApiError, ApiResult, Page};
use crate::knowledge::embeddings::Unavailable;

/// How articles are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Keyword,
    Semantic,
    Combined,
}

/// What was found.
pub(super) struct Ranking {
    /// In all.
    pub(super) total: i64,
    /// A part of them, best first: which, how well each answers (0 to 1), and whether it has words of the question.
    pub(super) rows: Vec<(Uuid, f64, bool)>,
    /// How well the best of all answers.
    pub(super) best: f64,
    /// Whether it was to be by meaning as well, and nobody could make that out.
    pub(super) fallback: bool,
}

/// The articles from `skip` on that answer a question.
///
/// # Errors
/// 503 where they are to be found by meaning alone and nobody can make that out; or when the database fails.
pub(super) async fn ranked(
    caller: &Identity,
    mode: Mode,
    question: &str,
    wanted: &Wanted,
    page: &Page,
) -> ApiResult<Ranking> {
    let meaning = match mode {
        Mode::Keyword => return by_words(caller, question, wanted, Status::Published, page).await,
        Mode::Semantic | Mode::Combined => {
            let meaning = caller.app.knowledge.meaning.question(caller.tenant_id, question);
            caller.app.life.wait(meaning).await.ok_or_else(ApiError::stopping)?
        }
    };
    let found = match meaning {
        Ok(meaning) => on_the_shelf(caller, mode, question, meaning, wanted).await?,
        Err(Unavailable(why)) => {
            tracing::warn!(why, "nobody can make out what a question means");
            None
        }
    };
    let Some(found) = found else {
        if mode == Mode::Semantic {
            return Err(ApiError::embedding_unavailable());
        }
        let mut ranking = by_words(caller, question, wanted, Status::Published, page).await?;
        let best = ranking.best.max(f64::EPSILON);
        ranking.rows.iter_mut().for_each(|(_, score, _)| *score = (*score / best).min(1.0));
        return Ok(Ranking { fallback: true, best: 1.0, ..ranking });
    };
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let [skip, size] = [page.skip, page.size].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let rows = found.into_iter().skip(skip).take(size);
    let rows = rows.map(|found| (found.id, f64::from(found.score), found.has_words)).collect();
    Ok(Ranking { total, rows, best: 1.0, fallback: false })
}

/// By what is in memory. None: there is more than that can hold.
async fn on_the_shelf(
    caller: &Identity,
    mode: Mode,
    question: &str,
    meaning: Option<Small>,
    wanted: &Wanted,
) -> ApiResult<Option<Vec<Found>>> {
    let knowledge = &caller.app.knowledge;
    let model = knowledge.meaning.model();
    let asked: Params<'_> = &[&question];
    let system = async {
        if !wanted.with_system {
            return Ok(Some(Arc::default()));
        }
        knowledge.shelves.of_system(&caller.app.db, model.as_ref()).await
    };
    let (stems, slot, system) = tokio::join!(
        caller.read(QUESTION_STEMS.with(asked)),
        knowledge.shelves.up_to_date(&caller.app.db, caller.tenant_id, model.as_ref()),
        system,
    );
    let (stems, slot, system) = (stems?, slot?, system?);
    let (Some(slot), Some(system)) = (slot, system) else { return Ok(None) };
    // What every text has says nothing, and neither does what it means.
    let Some(Stems { stems, unwanted, .. }) = stems.into_iter().find(|row| !row.says_nothing) else {
        return Ok(Some(Vec::new()));
    };
    let wanted = wanted.clone();
    let found = knowledge.meaning.aside(caller.tenant_id, move || {
        // Of no project, as what is of a whole tenant.
        let of_system = Wanted { with_tenant_wide: true, ..wanted.clone() };
        slot.read(|shelf| {
            let shelves = [(shelf, &wanted), (&*system, &of_system)];
            match (mode, meaning) {
                (Mode::Semantic, Some(meaning)) => by_meaning(&shelves, &meaning),
                (Mode::Semantic, None) => Vec::new(),
                (_, meaning) => by_both(&shelves, meaning.as_ref(), &stems, &unwanted),
            }
        })
    });
    found.await.map(Some).map_err(|_| ApiError::embedding_unavailable())
}

/// As search engines do: by the words alone.
pub(super) async fn by_words(
    caller: &Identity,
    question: &str,
    wanted: &Wanted,
    status: Status,
    page: &Page,
) -> ApiResult<Ranking> {
    let Wanted { project_id, with_tenant_wide, with_system, category, tags } = wanted;
    let filters: Params<'_> =
        &[&question, project_id, with_tenant_wide, category, tags, &status.as_str(), with_system];
    let found = caller.list(&BY_WORDS, filters, page).await?;
    let best = found.data.first().map_or(1.0, |row| row.best);
    let rows = found.data.into_iter().map(|row| (row.id, row.rank, true)).collect();
    Ok(Ranking { total: found.meta.total_count, rows, best, fallback: false })
}
