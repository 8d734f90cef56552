//! Many drafts are written at once by background work, for people to look at.

use std::collections::HashSet;

use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Category, Status};
use uuid::Uuid;

use super::api::slug_of;
use super::told::told_created;
use crate::db::{AsJson, DbError, Params, Tx, column, statements};
use crate::events::Event;

statements! {
    /// By title, so that two who write the same ones do not wait for each other in a circle. Tags come as JSON, because an array of
    /// arrays has to be a rectangle.
    INSERT_DRAFTS -> Uuid = "
        insert into articles (tenant_id, id, project_id, title, body, category, status, slug, tags, source_type, source_id,
                              metadata)
        select $1, d.id, $2, d.title, d.body, d.category, 'draft', d.slug,
               array(select tag from jsonb_array_elements_text(d.tags) with ordinality as t (tag, nth) order by nth), $3, $4,
               d.metadata
        from unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::jsonb[], $11::jsonb[])
             as d (id, title, body, category, slug, tags, metadata)
        order by d.title, d.id
        on conflict (tenant_id, title) where status not in ('archived', 'superseded') do nothing
        returning id";
}

/// What is to become a draft. Its fields are as those of any article.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// Not blank, at most 500 characters.
    pub(crate) title: String,
    /// Not blank, at most 100,000 characters.
    pub(crate) body: String,
    pub(crate) category: Category,
    /// At most 20 plain words.
    pub(crate) tags: Vec<String>,
    /// An object.
    pub(crate) metadata: JsonText,
}

/// Where drafts come from.
#[derive(Debug, Clone)]
pub(crate) struct Origin<'a> {
    pub(crate) source_type: &'a str,
    pub(crate) source_id: Option<Uuid>,
    /// The project that they are of; None: of the whole tenant.
    pub(crate) project_id: Option<Uuid>,
}

/// What became of drafts.
#[derive(Debug, Default)]
pub(crate) struct Inserted {
    /// Of those that are new, in the order in which they came.
    pub(crate) ids: Vec<Uuid>,
    /// Of those whose title another article has, or an earlier one of the same.
    pub(crate) skipped_titles: Vec<String>,
    /// What is to be recorded with the transaction, by whoever commits it.
    pub(crate) events: Vec<Event>,
}

/// Writes drafts, except those whose title a draft or a published article of the tenant has.
///
/// # Errors
/// When the database fails.
pub(crate) async fn insert_drafts(
    tx: &mut Tx,
    origin: &Origin<'_>,
    drafts: &[Draft],
) -> Result<Inserted, DbError> {
    let named: Vec<_> = drafts
        .iter()
        .map(|draft| {
            let id = Uuid::now_v7();
            (id, slug_of(&draft.title, id), draft)
        })
        .collect();
    let params: Params<'_> = &[
        &origin.project_id,
        &origin.source_type,
        &origin.source_id,
        &column(&named, |(id, ..)| *id),
        &column(&named, |(.., draft)| draft.title.as_str()),
        &column(&named, |(.., draft)| draft.body.as_str()),
        &column(&named, |(.., draft)| draft.category.as_str()),
        &column(&named, |(_, slug, _)| slug.as_str()),
        &column(&named, |(.., draft)| AsJson(&draft.tags)),
        &column(&named, |(.., draft)| AsJson(&draft.metadata)),
    ];
    let new: HashSet<_> = tx.all(INSERT_DRAFTS, params).await?.into_iter().collect();
    let mut inserted = Inserted::default();
    for (id, _, draft) in named {
        let Draft { title, category, tags, .. } = draft;
        if !new.contains(&id) {
            inserted.skipped_titles.push(title.clone());
            continue;
        }
        inserted.ids.push(id);
        inserted.events.push(told_created(id, origin.project_id, title, *category, Status::Draft, tags));
    }
    Ok(inserted)
}
