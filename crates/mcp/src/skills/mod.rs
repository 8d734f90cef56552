//! The tenant's skills as the protocol has skills: files that hosts list, check by their digests, and read. A file is made of the
//! current version whenever it is asked for; nothing is kept.

mod document;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rmcp::ErrorData;
use rmcp::model::{
    CacheScope, GetSkillResult, ListResourcesResult, ListSkillsResult, PaginatedRequestParams,
    ReadResourceResult,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::document::{Document, Known, Version, id_of};
use crate::api::{Api, Call, KeyFor};

/// Where a host can say in `_meta` of a call by which version of a skill a model works, so that the model has not to.
pub(crate) const VERSION_IN_META: &str = "loopctl/skill_version_id";
/// The argument of tools that says the same.
pub(crate) const VERSION_ARGUMENT: &str = "skill_version_id";

/// Skills of a page. Each of them is read for its digest, which counts against the limit of the key.
const SKILLS: u64 = 50;
/// Resources of a page, of which none is read.
const RESOURCES: u64 = 100;
/// Versions that are read at the same time.
const AT_ONCE: usize = 4;
/// How long a client may go by what it was told: who reads a file that has changed meanwhile finds another digest, and asks again.
const KEPT_MS: u64 = 60_000;

/// `skills/list`.
pub(crate) async fn list(
    api: &impl Api,
    request: Option<PaginatedRequestParams>,
) -> Result<ListSkillsResult, ErrorData> {
    let (skills, next_cursor) = page(api, request, SKILLS).await?;
    let entries = stream::iter(skills).map(async |skill| Ok(document(api, &skill).await?.entry()));
    let entries = entries.buffered(AT_ONCE).try_collect().await?;
    let result = ListSkillsResult::with_all_items(entries);
    let result = result.with_ttl_ms(KEPT_MS).with_cache_scope(CacheScope::Private);
    Ok(ListSkillsResult { next_cursor, ..result })
}

/// `resources/list`: the same skills.
pub(crate) async fn resources(
    api: &impl Api,
    request: Option<PaginatedRequestParams>,
) -> Result<ListResourcesResult, ErrorData> {
    let (skills, next_cursor) = page(api, request, RESOURCES).await?;
    let result = ListResourcesResult::with_all_items(skills.iter().map(Known::resource).collect());
    let result = result.with_ttl_ms(KEPT_MS).with_cache_scope(CacheScope::Private);
    Ok(ListResourcesResult { next_cursor, ..result })
}

/// `skills/get`.
pub(crate) async fn get(api: &impl Api, uri: &str) -> Result<GetSkillResult, ErrorData> {
    let Some(document) = find(api, uri).await? else {
        return Err(ErrorData::invalid_params(
            format!("There is no skill {uri}."),
            Some(json!({"uri": uri})),
        ));
    };
    let result = GetSkillResult::new(document.entry());
    Ok(result.with_ttl_ms(KEPT_MS).with_cache_scope(CacheScope::Private))
}

/// `resources/read`.
pub(crate) async fn read(api: &impl Api, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let Some(document) = find(api, uri).await? else {
        return Err(ErrorData::resource_not_found(
            format!("There is no resource {uri}."),
            Some(json!({"uri": uri})),
        ));
    };
    let result = ReadResourceResult::new(vec![document.contents()]);
    Ok(result.with_ttl_ms(KEPT_MS).with_cache_scope(CacheScope::Private))
}

/// A page of the skills that are in use, and where the next one begins.
async fn page(
    api: &impl Api,
    request: Option<PaginatedRequestParams>,
    size: u64,
) -> Result<(Vec<Known>, Option<String>), ErrorData> {
    let page = match request.and_then(|request| request.cursor) {
        None => 1,
        Some(cursor) => {
            cursor.parse::<u32>().ok().filter(|page| *page > 1).map(u64::from).ok_or_else(|| {
                ErrorData::invalid_params("This cursor is none of ours: begin again without one.", None)
            })?
        }
    };
    let call = Call::get(KeyFor::Agent, "/skills")
        .query("status", Some("active".to_owned()))
        .query("page", Some(page.to_string()))
        .query("page_size", Some(size.to_string()));
    let told = asked(api, call).await?.unwrap_or_default();
    let total = told["meta"]["total_count"].as_u64().unwrap_or(0);
    let next = (page * size < total).then(|| (page + 1).to_string());
    Ok((understood(told["data"].clone())?, next))
}

/// The file at an address. None: there is none, it is laid aside, or it is called otherwise.
async fn find(api: &impl Api, uri: &str) -> Result<Option<Document>, ErrorData> {
    let Some(id) = id_of(uri) else { return Ok(None) };
    let Some(told) = asked(api, Call::get(KeyFor::Agent, format!("/skills/{id}"))).await? else {
        return Ok(None);
    };
    let skill: Known = understood(told["skill"].clone())?;
    if skill.status != "active" || skill.uri() != uri {
        return Ok(None);
    }
    document(api, &skill).await.map(Some)
}

/// The current version of a skill as a file.
async fn document(api: &impl Api, skill: &Known) -> Result<Document, ErrorData> {
    let path = format!("/skills/{}/versions/{}", skill.id, skill.current_version);
    let told = asked(api, Call::get(KeyFor::Agent, path)).await?.unwrap_or_default();
    let version: Version = understood(told["version"].clone())?;
    Ok(Document::new(skill, &version))
}

/// What the API answers. None: there is no such thing.
async fn asked(api: &impl Api, call: Call) -> Result<Option<Value>, ErrorData> {
    let reply = api.call(call).await;
    if reply.is_ok() {
        return Ok(Some(reply.body));
    }
    if reply.status == 404 {
        return Ok(None);
    }
    let error = &reply.body["error"];
    let said = error["message"].as_str().or_else(|| reply.body.as_str()).unwrap_or("it did not say why");
    let message = format!("The skills cannot be read: {said}");
    Err(ErrorData::internal_error(message, Some(json!({"status": reply.status, "code": error["code"]}))))
}

fn understood<T: DeserializeOwned>(told: Value) -> Result<T, ErrorData> {
    serde_json::from_value(told)
        .map_err(|error| ErrorData::internal_error(format!("The server told something else: {error}"), None))
}
