//! The fields of projects and their rules (file 03 §3.1).

use loopctl_core::fields::{FieldErrors, Fields, INVALID, Length};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::api::Project;
use crate::tenants::{BAD_SLUG, is_slug};

const NAME: Length = Length::max(255);
const REPO_URL: Length = Length::max(2048);
const DESCRIPTION: Length = Length::max(50_000);
const TECH_STACK: Length = Length::max(255);
const MISSION: Length = Length::max(2000);

/// `status` of a project at work.
pub(super) const ACTIVE: &str = "active";
/// `status` of a project laid aside.
pub(super) const ARCHIVED: &str = "archived";

/// The status that the word names.
pub(super) fn known_status(word: &str) -> Option<&'static str> {
    [ACTIVE, ARCHIVED].into_iter().find(|known| *known == word)
}

/// `POST /projects`.
#[derive(Debug, ToSchema)]
pub(super) struct CreateProject {
    /// At most 255 characters.
    pub(super) name: String,
    /// 2..63 characters, `[a-z0-9][a-z0-9-]*[a-z0-9]`; unique in the tenant, archived projects included.
    pub(super) slug: String,
    pub(super) repo_url: Option<String>,
    pub(super) description: Option<String>,
    pub(super) tech_stack: Option<String>,
    /// At most 2000 characters.
    pub(super) mission: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Map<String, Value>,
}

impl CreateProject {
    pub(super) fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let name = fields.required_text("name", NAME);
        let slug = fields.required_text("slug", Length::range(2, 63));
        if !slug.is_empty() && !is_slug(&slug) {
            fields.fail("slug", BAD_SLUG);
        }
        let new = Self {
            name,
            slug,
            repo_url: fields.text("repo_url", REPO_URL),
            description: fields.text("description", DESCRIPTION),
            tech_stack: fields.text("tech_stack", TECH_STACK),
            mission: fields.trimmed_text("mission", MISSION),
            metadata: fields.object("metadata").unwrap_or_default(),
        };
        fields.finish(new)
    }
}

/// `PATCH /projects/:id`: every field is optional; an empty string clears what may be empty. The slug never changes.
#[derive(Debug, ToSchema)]
pub(super) struct UpdateProject {
    /// At most 255 characters.
    name: Option<String>,
    #[schema(value_type = Option<String>)]
    repo_url: Option<Option<String>>,
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    #[schema(value_type = Option<String>)]
    tech_stack: Option<Option<String>>,
    /// `active`, or, by a user key, `archived`.
    #[schema(value_type = Option<String>)]
    pub(super) status: Option<&'static str>,
    /// At most 2000 characters.
    #[schema(value_type = Option<String>)]
    mission: Option<Option<String>>,
    /// Replaces the whole object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

impl UpdateProject {
    pub(super) fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let status = fields.value("status").map(|word| word.as_str().and_then(known_status));
        if status == Some(None) {
            fields.fail("status", INVALID);
        }
        let change = Self {
            name: fields.filled_text("name", NAME),
            repo_url: fields.text_change("repo_url", REPO_URL),
            description: fields.text_change("description", DESCRIPTION),
            tech_stack: fields.text_change("tech_stack", TECH_STACK),
            status: status.flatten(),
            mission: fields.value("mission").map(|_| fields.trimmed_text("mission", MISSION)),
            metadata: fields.object("metadata"),
        };
        fields.finish(change)
    }

    /// The project after this change.
    pub(super) fn applied_to(self, old: &Project) -> Project {
        let mut new = old.clone();
        set(&mut new.name, self.name);
        set(&mut new.repo_url, self.repo_url);
        set(&mut new.description, self.description);
        set(&mut new.tech_stack, self.tech_stack);
        set(&mut new.status, self.status.map(str::to_owned));
        set(&mut new.mission, self.mission);
        set(&mut new.metadata, self.metadata.map(Value::Object));
        new
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
