//! Many skills in one request: created, or brought to a new version where their prompt is another one.

use std::collections::{BTreeSet, HashMap, HashSet};

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::fields::{FieldErrors, Fields, INVALID};
use loopctl_core::json::{Object, elements};
use loopctl_core::request::{Member, Request, Rule as _, schema_of, uuid};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::api::{LONG, NAME, PROMPT, told_created};
use super::rules::digest;
use super::store::{
    CURRENT_DIGESTS, IMPORT_SKILLS, IMPORT_VERSIONS, LOCK_NAMED_SKILLS, NamedSkill, PROJECTS_OF_SKILLS,
};
use super::versions::told_added;
use crate::app::{AtLeast, Caller, Change, User};
use crate::db::{Params, column};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, LargeBody};

/// The most skills of one import.
const MOST: usize = 1000;

/// What the changelog of a new version says where the import says nothing.
const UPDATED: &str = "Imported update";

/// A skill of an import.
#[derive(Debug, Clone, Request)]
struct ImportedSkill {
    #[rule(NAME.required())]
    name: String,
    #[rule(PROMPT.required())]
    prompt_text: String,
    /// Of a skill that is new.
    #[rule(LONG)]
    description: Option<String>,
    /// Default: that of the import.
    #[rule(uuid())]
    project_id: Option<Uuid>,
    /// Of the version; default of an update: `Imported update`.
    #[rule(LONG)]
    changelog: Option<String>,
}

/// `POST /skills/import`.
#[derive(Debug)]
pub(super) struct SkillImportRequest {
    /// None where there is no such array.
    skills: Option<Vec<ImportedSkill>>,
    project_id: Option<Uuid>,
}

impl Request for SkillImportRequest {
    const NAME: &'static str = "SkillImportRequest";

    fn read(fields: &mut Fields<'_>) -> Self {
        let project_id = uuid().read(fields, "project_id");
        let raw = fields.raw("skills").filter(|raw| raw.get().starts_with('['));
        let skills = raw.and_then(elements).map(|items| read_all(fields, &items));
        Self { skills, project_id }
    }

    fn members() -> Vec<Member> {
        let list = json_schema!({"type": "array", "maxItems": MOST, "items": schema_of::<ImportedSkill>()});
        let about = "Each is found by its name, within its project or among the skills of the whole tenant.";
        let mut members = vec![Member { name: "skills", description: about, schema: list, required: true }];
        members
            .extend(uuid().members("project_id", "Of skills that name none; absent: of the whole tenant."));
        members
    }
}

/// What is wrong with an item is told under its place.
fn read_all(fields: &mut Fields<'_>, items: &[&RawValue]) -> Vec<ImportedSkill> {
    if items.len() > MOST {
        fields.fail("skills", format!("should have at most {MOST} item(s)"));
        return Vec::new();
    }
    let mut skills = Vec::with_capacity(items.len());
    for (nth, raw) in items.iter().enumerate() {
        let Some(object) = Object::parse(raw) else {
            fields.fail(&format!("skills[{nth}]"), INVALID);
            continue;
        };
        match ImportedSkill::from_object(&object) {
            Ok(skill) => skills.push(skill),
            Err(FieldErrors(errors)) => {
                for (name, message) in
                    errors.iter().flat_map(|(name, all)| all.iter().map(move |message| (name, message)))
                {
                    fields.fail(&format!("skills[{nth}].{name}"), message);
                }
            }
        }
    }
    skills
}

/// How many skills an import had, and what became of them.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(super) struct SkillImportResponse {
    total: usize,
    created: usize,
    updated: usize,
    unchanged: usize,
    /// Same as `created`.
    skills_created: usize,
    /// Same as `updated`.
    skills_updated: usize,
    /// Same as `unchanged`.
    skills_unchanged: usize,
    /// Of new skills, and of those updated.
    versions_created: usize,
}

pub(super) async fn import(
    caller: Caller<AtLeast<User>>,
    body: LargeBody<SkillImportRequest>,
) -> ApiResult<Json<SkillImportResponse>> {
    if body.anyway().skills.is_none() {
        return Err(ApiError::bad_request("Request body must contain a 'skills' array"));
    }
    let sent = body.valid()?;
    let label = caller.attribution().actor_label;
    caller
        .change(async |mut change| {
            let skills = placed(&mut change, sent).await?;
            let import = Import::write(&mut change, &skills, &label).await?;
            let (created, updated) = (import.created, import.updated);
            let (total, unchanged) = (skills.len(), skills.len() - created - updated);
            let told =
                json!({"total": total, "created": created, "updated": updated, "unchanged": unchanged});
            let event = Event::new("skill_import", Uuid::now_v7(), "bulk_imported", told);
            change.tell(import.events);
            change.tell([event.project(sent.project_id)]);
            let answer = SkillImportResponse {
                total,
                created,
                updated,
                unchanged,
                skills_created: created,
                skills_updated: updated,
                skills_unchanged: unchanged,
                versions_created: created + updated,
            };
            change.commit(Json(answer)).await
        })
        .await
}

/// A skill is known by its project, if it has one, and its name.
type Key<'a> = (Option<Uuid>, &'a str);

/// The skills of an import, each in its project, in the order of their keys.
///
/// # Errors
/// 422 for projects that are not the tenant's, and for a key that is there twice.
async fn placed<'a>(
    change: &mut Change<'_>,
    sent: &'a SkillImportRequest,
) -> ApiResult<Vec<(Key<'a>, &'a ImportedSkill)>> {
    let items = sent.skills.as_deref().unwrap_or_default();
    let named = items.iter().map(|skill| skill.project_id).chain([sent.project_id]);
    let named: Vec<Uuid> = named.flatten().collect::<HashSet<_>>().into_iter().collect();
    let known: HashSet<_> = change.all(PROJECTS_OF_SKILLS, &[&named]).await?.into_iter().collect();
    let mut errors = FieldErrors::default();
    let mut check = |project_id: Option<Uuid>, field: String| {
        if project_id.is_some_and(|id| !known.contains(&id)) {
            errors.add(&field, "does not exist");
        }
    };
    check(sent.project_id, "project_id".to_owned());
    for (nth, skill) in items.iter().enumerate() {
        check(skill.project_id, format!("skills[{nth}].project_id"));
    }
    errors.check(())?;
    let key = |skill: &'a ImportedSkill| (skill.project_id.or(sent.project_id), skill.name.as_str());
    let mut skills: Vec<_> = items.iter().map(|skill| (key(skill), skill)).collect();
    skills.sort_by_key(|(key, _)| *key);
    let twice: BTreeSet<_> =
        skills.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0.1).collect();
    if !twice.is_empty() {
        let names: Vec<_> = twice.into_iter().collect();
        let message = format!("Duplicate skill names in import payload: {}", names.join(", "));
        return Err(ApiError::unprocessable(Code::InvalidImport, message));
    }
    Ok(skills)
}

/// What an import has written.
struct Import {
    created: usize,
    updated: usize,
    events: Vec<Event>,
}

impl Import {
    /// Creates what is not there. What is there by then is locked, compared, and brought to its next version where its prompt differs.
    async fn write(
        change: &mut Change<'_>,
        skills: &[(Key<'_>, &ImportedSkill)],
        label: &str,
    ) -> ApiResult<Self> {
        if skills.is_empty() {
            return Ok(Self { created: 0, updated: 0, events: Vec::new() });
        }
        let digests = column(skills, |(_, skill)| digest(&skill.prompt_text));
        let params: Params<'_> = &[
            &column(skills, |_| Uuid::now_v7()),
            &column(skills, |_| Uuid::now_v7()),
            &column(skills, |((project_id, _), _)| *project_id),
            &column(skills, |((_, name), _)| *name),
            &column(skills, |(_, skill)| skill.description.as_deref()),
            &column(skills, |(_, skill)| skill.prompt_text.as_str()),
            &column(&digests, |digest| digest.as_slice()),
            &column(skills, |(_, skill)| skill.changelog.as_deref()),
            &label,
        ];
        let created = change.all(IMPORT_SKILLS, params).await?;
        let mut events: Vec<_> =
            created.iter().map(|skill| told_created(skill.id, skill.project_id, &skill.name)).collect();
        let new: HashSet<_> = created.iter().map(key_of).collect();
        let rest: Vec<_> = skills.iter().zip(&digests).filter(|((key, _), _)| !new.contains(key)).collect();
        if rest.is_empty() {
            return Ok(Self { created: created.len(), updated: 0, events });
        }

        let names: Params<'_> =
            &[&column(&rest, |((key, _), _)| key.0), &column(&rest, |((key, _), _)| key.1)];
        let locked = change.all(LOCK_NAMED_SKILLS, names).await?;
        let current = change.all(CURRENT_DIGESTS, &[&column(&locked, |skill| skill.id)]).await?;
        let current: HashMap<_, _> =
            current.into_iter().map(|version| (version.skill_id, version.prompt_digest)).collect();
        let ids: HashMap<_, _> = locked.iter().map(|skill| (key_of(skill), skill.id)).collect();
        let differing: Vec<_> = rest
            .into_iter()
            .filter_map(|((key, skill), digest)| {
                let id = *ids.get(key)?;
                let differs = current.get(&id).is_none_or(|current| current != digest);
                differs.then_some((id, key.0, *skill, digest))
            })
            .collect();
        let params: Params<'_> = &[
            &column(&differing, |(id, ..)| *id),
            &column(&differing, |_| Uuid::now_v7()),
            &column(&differing, |(_, _, skill, _)| skill.prompt_text.as_str()),
            &column(&differing, |(_, _, _, digest)| digest.as_slice()),
            &column(&differing, |(_, _, skill, _)| skill.changelog.as_deref().unwrap_or(UPDATED)),
            &label,
        ];
        let added = change.all(IMPORT_VERSIONS, params).await?;
        let projects: HashMap<_, _> =
            differing.iter().map(|(id, project_id, ..)| (*id, *project_id)).collect();
        events.extend(added.iter().map(|version| {
            let project_id = projects.get(&version.skill_id).copied().flatten();
            let changelog = version.changelog.as_deref();
            told_added(version.id, version.skill_id, project_id, version.version, changelog)
        }));
        Ok(Self { created: created.len(), updated: added.len(), events })
    }
}

fn key_of(skill: &NamedSkill) -> Key<'_> {
    (skill.project_id, &skill.name)
}
