//! Articles are written and read: requests, answers and handlers.

use std::slice::from_ref;

use axum::Json;
use loopctl_core::fields::FieldErrors;
use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{
    Category, MAX_BODY, MAX_TITLE, Status, check_slug, check_source_type, generated_slug, tags,
};
use loopctl_core::request::{Request, Text, Word, id, small_object, text, uuid, word};
use loopctl_core::role::Role;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::store::{
    Article, INSERT_ARTICLE, LIST_ARTICLES, LIST_ARTICLES_OF_PROJECT, LIST_SYSTEM_ARTICLES, SHOW_ARTICLE,
    Weighed,
};
use super::told;
use crate::app::{Agent, AtLeast, Caller, Change, Identity, KeyHolder, Orchestrator};
use crate::db::{AsJson, DbError, ListSql, Params};
use crate::http::{ApiError, ApiResult, Body, Created, Id, List, Page, Query, one, pages};
use crate::knowledge::access::{self, Access, WorkedOn};
use crate::knowledge::embeddings;
use crate::knowledge::links::{
    ArticleLink, INCOMING_LINKS, LinkRow, OUTGOING_LINKS, SYSTEM_INCOMING_LINKS, SYSTEM_OUTGOING_LINKS,
};
use crate::knowledge::system::{self, NewSystemArticle};
use crate::plan::projects::PROJECT_KNOWN;

pub(super) const TITLE: Text = text(MAX_TITLE);
pub(super) const BODY: Text = text(MAX_BODY);
pub(super) const CATEGORY: Word<&str> =
    word(Category::WORDS, |text| Category::parse(text).map(Category::as_str));

/// What may be written at once.
const FIRST: &[&str] = &["draft", "published"];
const DRAFT: &str = "draft";

const SCOPES: &[&str] = &[TENANT, SYSTEM];
const TENANT: &str = "tenant";
const SYSTEM: &str = "system";

fn one_of(words: &'static [&'static str], text: &str) -> Option<&'static str> {
    words.iter().copied().find(|known| *known == text)
}

one! { pub(super) ArticleResponse { data: Article } }

/// `POST /articles`.
#[derive(Request)]
pub(super) struct ArticleCreateRequest {
    /// Unique among the tenant's drafts and published articles.
    #[rule(TITLE.required())]
    title: String,
    /// Markdown.
    #[rule(BODY.required())]
    body: String,
    #[rule(CATEGORY.required())]
    category: &'static str,
    /// Default `draft`; `published` takes an orchestrator.
    #[rule(word(FIRST, |text| one_of(FIRST, text)).or(DRAFT))]
    status: &'static str,
    /// At most 20; default none.
    #[rule(tags().or(Vec::new()))]
    tags: Vec<String>,
    /// 2 to 64 of `a-z 0-9 -`, unique in the tenant; made of the title when absent.
    #[rule(text(usize::MAX).that(|slug| check_slug(slug)))]
    slug: Option<String>,
    /// `system`, for everybody's, takes a superadmin.
    #[rule(word(SCOPES, |text| one_of(SCOPES, text)))]
    scope: Option<&'static str>,
    /// `review_finding`, `manual`, `agent`, `session_log`, `newsletter`, `skill`, `web_article` or `ingestion`.
    #[rule(text(usize::MAX).that(|source| check_source_type(source)))]
    source_type: Option<String>,
    /// What it comes from: any id.
    #[rule(uuid())]
    source_id: Option<Uuid>,
    /// Default `{}`.
    #[rule(small_object().or(JsonText::empty_object()))]
    metadata: JsonText,
    /// Absent: of the whole tenant.
    #[rule(uuid())]
    project_id: Option<Uuid>,
}

pub(super) async fn create(
    holder: KeyHolder<AtLeast<Agent>>,
    body: Body<ArticleCreateRequest>,
) -> ApiResult<Created<ArticleResponse>> {
    if body.anyway().scope == Some(SYSTEM) {
        return write_for_everybody(holder, body).await;
    }
    write(holder.in_tenant()?, None, body).await
}

/// Writes a system article.
async fn write_for_everybody(
    holder: KeyHolder<AtLeast<Agent>>,
    body: Body<ArticleCreateRequest>,
) -> ApiResult<Created<ArticleResponse>> {
    let superadmin = system::beyond_tenants(holder)?;
    let new = body.valid()?;
    let id = Uuid::now_v7();
    let article = NewSystemArticle {
        id,
        slug: &new.slug.clone().unwrap_or_else(|| slug_of(&new.title, id)),
        title: &new.title,
        body: &new.body,
        category: new.category,
        status: new.status,
        tags: &new.tags,
        metadata: &new.metadata,
    };
    system::create(&superadmin, &article, |article| Created(ArticleResponse { data: article })).await
}

pub(super) async fn create_in_project(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    body: Body<ArticleCreateRequest>,
) -> ApiResult<Created<ArticleResponse>> {
    write(caller, Some(project_id), body).await
}

/// Writes an article. The project that a path names goes before that of the body.
async fn write(
    caller: Caller<AtLeast<Agent>>,
    of_path: Option<Uuid>,
    body: Body<ArticleCreateRequest>,
) -> ApiResult<Created<ArticleResponse>> {
    let asked = body.anyway();
    if asked.scope == Some(SYSTEM) {
        return Err(system::forbidden());
    }
    if caller.role == Role::Agent && (body.has_failed("status") || asked.status != DRAFT) {
        return Err(ApiError::forbidden("Insufficient permissions. Required role: orchestrator"));
    }
    let answer = caller
        .change(async |mut change| {
            if let Some(project_id) = of_path {
                change.found(PROJECT_KNOWN, &[&project_id]).await?;
            }
            let project_id = of_path.or(asked.project_id);
            let is_known = of_path.is_some() || is_of_tenant(&mut change, project_id).await?;
            let new = body.checked(|_, errors| {
                if of_path.is_some() {
                    errors.0.remove("project_id");
                }
                check_project(is_known, errors);
            })?;
            let id = Uuid::now_v7();
            let slug = new.slug.clone().unwrap_or_else(|| slug_of(&new.title, id));
            let params: Params<'_> = &[
                &id,
                &project_id,
                &new.title,
                &new.body,
                &new.category,
                &new.status,
                &slug,
                &new.tags,
                &new.source_type,
                &new.source_id,
                &AsJson(&new.metadata),
            ];
            let article = change.one(INSERT_ARTICLE, params).await.map_err(taken)?;
            embeddings::changed(&mut change, from_ref(&article)).await?;
            change.tell([told::created(&article)]);
            change.commit(Created(ArticleResponse { data: article })).await
        })
        .await?;
    caller.app.jobs.wake();
    Ok(answer)
}

/// Whether an article may be of this project, as far as the tenant is concerned.
pub(super) async fn is_of_tenant(change: &mut Change<'_>, project_id: Option<Uuid>) -> ApiResult<bool> {
    let Some(project_id) = project_id else { return Ok(true) };
    Ok(change.optional(PROJECT_KNOWN, &[&project_id]).await?.is_some())
}

pub(super) fn check_project(is_known: bool, errors: &mut FieldErrors) {
    if !is_known {
        errors.add("project_id", "does not belong to this tenant");
    }
}

/// The slug of an article that came without one. The last bits of its id are random.
pub(super) fn slug_of(title: &str, id: Uuid) -> String {
    let [.., high, middle, low] = id.into_bytes();
    generated_slug(title, u32::from_be_bytes([0, high, middle, low]))
}

/// What was refused because another article has it. Clients of old look under `tenant_id`.
pub(super) fn taken(error: DbError) -> ApiError {
    let field = match [error.violates("articles_title"), error.violates("articles_slug")] {
        [true, _] => "title",
        [_, true] => "slug",
        [false, false] => return error.into(),
    };
    let mut errors = FieldErrors::default();
    for field in ["tenant_id", field] {
        errors.add(field, "has already been taken for this tenant");
    }
    errors.into()
}

/// Which articles a list has.
#[derive(Request)]
pub(super) struct ListArticlesOfProject {
    /// `pattern`, `convention`, `decision`, `finding` or `reference`.
    #[rule(text(usize::MAX))]
    category: Option<String>,
    /// `draft`, `published`, `archived` or `superseded`; absent: whatever it is.
    #[rule(text(usize::MAX))]
    status: Option<String>,
    /// Tags, separated by commas: articles with any of them.
    #[rule(text(usize::MAX))]
    tags: Option<String>,
    /// Only from there.
    #[rule(text(usize::MAX))]
    source_type: Option<String>,
    /// The one with exactly this slug.
    #[rule(text(usize::MAX))]
    slug: Option<String>,
    /// With exactly this title: one that is a draft or published, and those that were laid aside.
    #[rule(text(usize::MAX))]
    title: Option<String>,
    #[rule(pages(20, 100))]
    page: Page,
}

/// The same of the whole tenant.
#[derive(Request)]
pub(super) struct ListArticles {
    /// Only of this project.
    #[rule(id())]
    project_id: Option<Uuid>,
    /// `tenant`, which is the default, or `system`: what is published of the server's own, by title.
    #[rule(text(usize::MAX))]
    scope: Option<String>,
    #[flatten]
    which: ListArticlesOfProject,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<ListArticles>,
) -> ApiResult<Json<List<Article>>> {
    let (scope, list) = match known_word("scope", query.scope.as_deref(), SCOPES)? {
        Some(SYSTEM) => (SYSTEM, &LIST_SYSTEM_ARTICLES),
        _ => (TENANT, &LIST_ARTICLES),
    };
    listed(&caller, list, scope, query.project_id, &query.which).await
}

pub(super) async fn list_of_project(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    Query(query): Query<ListArticlesOfProject>,
) -> ApiResult<Json<List<Article>>> {
    listed(&caller, &LIST_ARTICLES_OF_PROJECT, TENANT, Some(project_id), &query).await
}

#[derive(Request)]
pub(super) struct ListDrafts {
    /// Only of this project.
    #[rule(id())]
    project_id: Option<Uuid>,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn drafts(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(ListDrafts { project_id, page }): Query<ListDrafts>,
) -> ApiResult<Json<List<Article>>> {
    let status = Some(DRAFT.to_owned());
    let which = ListArticlesOfProject {
        category: None,
        status,
        tags: None,
        source_type: None,
        slug: None,
        title: None,
        page,
    };
    listed(&caller, &LIST_ARTICLES, TENANT, project_id, &which).await
}

async fn listed<A>(
    caller: &Caller<A>,
    list: &ListSql<Weighed>,
    scope: &str,
    project_id: Option<Uuid>,
    which: &ListArticlesOfProject,
) -> ApiResult<Json<List<Article>>> {
    let category = known_word("category", which.category.as_deref(), Category::WORDS)?;
    let status = known_word("status", which.status.as_deref(), Status::WORDS)?;
    let tags = which.tags.as_deref().map(tags_of).filter(|tags| !tags.is_empty());
    let filters: Params<'_> =
        &[&project_id, &category, &status, &which.source_type, &tags, &which.slug, &which.title];
    let page = caller.list(list, filters, &which.page).await?;
    which.page.check_size(page.data.iter().map(|row| row.upto))?;
    Ok(Json(page.map(|Weighed { article, .. }| Article { scope: scope.to_owned(), ..article })))
}

/// The tags of a filter; of nothing but commas none.
fn tags_of(list: &str) -> Vec<&str> {
    list.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect()
}

/// One of the words of a filter.
///
/// # Errors
/// 400 for another one.
pub(crate) fn known_word<'a>(
    name: &str,
    sent: Option<&'a str>,
    words: &[&str],
) -> ApiResult<Option<&'a str>> {
    match sent {
        Some(word) if !words.contains(&word) => Err(ApiError::bad_request(format!(
            "Invalid {name}. Valid {}: {}",
            plural(name),
            words.join(", ")
        ))),
        sent => Ok(sent),
    }
}

fn plural(name: &str) -> String {
    match name.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if name.ends_with('s') => format!("{name}es"),
        None => format!("{name}s"),
    }
}

/// An article and what it is linked with.
#[derive(Serialize, JsonSchema)]
pub(super) struct ArticleWithLinks {
    #[serde(flatten)]
    article: Article,
    /// Those of which it is the source, the newest 100.
    outgoing_links: Vec<ArticleLink>,
    /// Those of which it is the target, the newest 100.
    incoming_links: Vec<ArticleLink>,
}

one! { pub(super) ArticleWithLinksResponse { data: ArticleWithLinks } }

pub(super) async fn show(
    holder: KeyHolder<AtLeast<Agent>>,
    Id(id): Id,
    Query(on): Query<WorkedOn>,
) -> ApiResult<Json<ArticleWithLinksResponse>> {
    let app = holder.app().clone();
    let (refused, is_superadmin) = match holder.in_tenant() {
        Ok(caller) => match of_tenant(&caller, id).await? {
            Some(data) => {
                access::record(&caller, Access::Get, on, vec![id]);
                return Ok(Json(ArticleWithLinksResponse { data }));
            }
            None => (ApiError::not_found(), caller.role == Role::Superadmin),
        },
        Err(refused) => (refused, true),
    };
    let article = system::find(&app, id).await?;
    let article = article.filter(|article| is_superadmin || article.status == Status::Published);
    let article = article.ok_or(refused)?;
    let params: Params<'_> = &[&id];
    let all = (SYSTEM_OUTGOING_LINKS.with(params), SYSTEM_INCOMING_LINKS.with(params));
    let [outgoing_links, incoming_links] = <[_; 2]>::from(app.db.read(Uuid::nil(), all).await?).map(shown);
    Ok(Json(ArticleWithLinksResponse { data: ArticleWithLinks { article, outgoing_links, incoming_links } }))
}

fn shown(rows: Vec<LinkRow>) -> Vec<ArticleLink> {
    rows.into_iter().map(ArticleLink::of).collect()
}

/// One of the caller's tenant.
async fn of_tenant(caller: &Identity, id: Uuid) -> ApiResult<Option<ArticleWithLinks>> {
    let params: Params<'_> = &[&id];
    let all = (SHOW_ARTICLE.with(params), OUTGOING_LINKS.with(params), INCOMING_LINKS.with(params));
    let (article, outgoing, incoming) = caller.read(all).await?;
    Ok(article.into_iter().next().map(|article| ArticleWithLinks {
        article,
        outgoing_links: shown(outgoing),
        incoming_links: shown(incoming),
    }))
}
