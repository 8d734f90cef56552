//! What there is to call, and what is kept of it.

use super::{Effect, Run, Tool, given};
use crate::api::{Call, KeyFor};
use crate::arguments::text;

pub(super) const TOOLS: &[Tool] = &[
    Tool::new(
        "list_routes",
        "All routes of the HTTP API.",
        Effect::Reads,
        Run::Call(|_, _| Ok(Call::get(KeyFor::Orchestrator, "/routes"))),
    ),
    Tool::new(
        "get_system_articles",
        "Read loopctl's own articles on how it is used.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            Ok(Call::get(KeyFor::Anyone, "/articles/system")
                .query("slug", given(arguments, "slug"))
                .query("category", given(arguments, "category")))
        }),
    )
    .takes(&[text("slug"), text("category")]),
    Tool::new(
        "get_acceptance_criteria",
        "A story's acceptance criteria, one by one.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            let path = format!("/stories/{}/acceptance_criteria", arguments.id("story_id")?);
            Ok(Call::get(KeyFor::Orchestrator, path))
        }),
    )
    .takes(&[text("story_id").required()]),
];
