//! Projects, and what is planned in them.

use serde_json::Value;

use super::{CURSOR, Effect, PAGE, PROJECT, Run, Shape, Tool, given, project_of};
use crate::api::{Call, KeyFor, Settings};
use crate::arguments::{Arguments, Field, Kind, Wrong, flag, integer, text};
use crate::seats::Seat;

pub(super) const TOOLS: &[Tool] = &[
    Tool::new(
        "get_tenant",
        "Show the tenant that the key belongs to: checks that the connection works.",
        Effect::Reads,
        Run::Call(|_, _| Ok(Call::get(KeyFor::Orchestrator, "/tenants/me"))),
    ),
    Tool::new(
        "list_projects",
        "List the tenant's projects.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            let call = Call::get(KeyFor::Orchestrator, "/projects");
            Ok(call.query("page", given(arguments, "page")).query("page_size", given(arguments, "page_size")))
        }),
    )
    .takes(&PAGE)
    .listed(&[Seat::Orchestrator])
    .briefly("Projects.", &[CURSOR]),
    Tool::new(
        "create_project",
        "Register a project. `mission` (at most 2000 characters) is shown with each of its stories.",
        Effect::Adds,
        Run::Call(|arguments, _| {
            let names = ["name", "slug", "repo_url", "description", "tech_stack", "mission"];
            Ok(Call::post(KeyFor::Orchestrator, "/projects").body(Value::Object(arguments.some_of(&names))))
        }),
    )
    .takes(&[
        text("name").required(),
        text("slug").required(),
        text("repo_url"),
        text("description"),
        text("tech_stack"),
        text("mission"),
    ]),
    Tool::new(
        "delete_project",
        "Remove a project for good, with everything in it. Needs LOOPCTL_USER_KEY.",
        Effect::Destroys,
        Run::Call(|arguments, _| {
            Ok(Call::delete(KeyFor::User, format!("/projects/{}", arguments.id("project_id")?)))
        }),
    )
    .takes(&[text("project_id").required()]),
    Tool::new(
        "get_progress",
        "How far a project is: stories by status, and what it has cost if include_cost is true.",
        Effect::Reads,
        Run::Call(|arguments, settings| {
            let path = format!("/projects/{}/progress", project_of(arguments, settings)?);
            let cost = arguments.flag("include_cost").then(|| "true".to_owned());
            Ok(Call::get(KeyFor::Orchestrator, path).query("include_cost", cost))
        }),
    )
    .takes(&[text("project_id").required(), flag("include_cost")])
    .listed(&[Seat::Orchestrator])
    .briefly("How far a project is.", &[PROJECT, flag("include_cost")]),
    Tool::new(
        "backfill_story",
        "Mark work that was finished outside loopctl as verified. Refused for a story with any dispatch lineage or assignment, and for a \
         rejected one; the same again changes nothing.",
        Effect::Settles,
        Run::Call(|arguments, _| {
            let blank = arguments.text("reason").is_none_or(|reason| reason.trim().is_empty());
            if blank {
                return Err(Wrong("reason is required".to_owned()));
            }
            let path = format!("/stories/{}/backfill", arguments.id("story_id")?);
            let body = arguments.some_of(&["reason", "evidence_url", "pr_number"]);
            Ok(Call::post(KeyFor::Orchestrator, path).body(Value::Object(body)))
        }),
    )
    .takes(&[
        text("story_id").required(),
        text("reason").required(),
        text("evidence_url"),
        integer("pr_number"),
    ])
    .told(Shape::Step),
    Tool::new(
        "create_story",
        "Add a story to an epic that exists: by epic_id, or by project_id and epic_number.",
        Effect::Adds,
        Run::Call(create_story),
    )
    .takes(&[text("project_id"), integer("epic_number"), text("epic_id"), STORY_OBJECT])
    .told(Shape::Step)
    .listed(&[Seat::Orchestrator])
    .briefly("Add a story {number, title, description, acceptance_criteria} to an epic.", &[
        PROJECT,
        integer("epic_number"),
        text("epic_id"),
        STORY_OBJECT,
    ]),
    Tool::new(
        "import_stories",
        "Import epics with their stories, as an object (payload) or from a local JSON file (payload_path). merge adds to epics that exist \
         instead of answering 409.",
        Effect::Adds,
        Run::Call(|arguments, settings| {
            let plan = match (arguments.value("payload"), arguments.text("payload_path")) {
                (Some(payload), _) => payload.clone(),
                (None, Some(path)) => match &settings.files {
                    Some(files) => files.plan(path)?,
                    None => return Err(Wrong("payload_path is for a local server alone: send payload".to_owned())),
                },
                (None, None) => return Err(Wrong("payload or payload_path is required".to_owned())),
            };
            let path = format!("/projects/{}/import", project_of(arguments, settings)?);
            let merge = arguments.flag("merge").then(|| "true".to_owned());
            Ok(Call::post(KeyFor::Orchestrator, path).query("merge", merge).body(plan))
        }),
    )
    .takes(&[
        text("project_id").required(),
        Field::new("payload", Kind::Anything),
        text("payload_path"),
        flag("merge").about("default false"),
    ])
    .listed(&[Seat::Orchestrator])
    .briefly("Import a plan {epics: [{number, title, stories: [...]}]}; merge adds to epics that exist.", &[
        PROJECT,
        Field::new("payload", Kind::Anything),
        text("payload_path").about("absolute path of a .json file"),
        flag("merge"),
    ]),
];

const STORY_OBJECT: Field = Field::new("story", Kind::Anything).required();

fn create_story(arguments: &Arguments, settings: &Settings) -> Result<Call, Wrong> {
    let story = arguments.value("story").and_then(Value::as_object).cloned().unwrap_or_default();
    if story.is_empty() {
        return Err(Wrong("story must have a number and a title".to_owned()));
    }
    if arguments.text("epic_id").is_some() {
        let path = format!("/epics/{}/stories", arguments.id("epic_id")?);
        return Ok(Call::post(KeyFor::Orchestrator, path).body(Value::Object(story)));
    }
    let Some(epic_number) = arguments.value("epic_number") else {
        return Err(Wrong("epic_id, or project_id and epic_number, say where the story belongs".to_owned()));
    };
    let path = format!("/projects/{}/stories", project_of(arguments, settings)?);
    let mut body = serde_json::Map::from_iter([("epic_number".to_owned(), epic_number.clone())]);
    body.extend(story);
    Ok(Call::post(KeyFor::Orchestrator, path).body(Value::Object(body)))
}
