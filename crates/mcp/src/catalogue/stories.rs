//! Stories: finding and reading them.

use super::{CURSOR, Effect, PROJECT, Run, STORY, Shape, Tool, given, offset, page_size, project_of};
use crate::api::{Call, KeyFor};
use crate::arguments::{choice, flag, integer, text, within};
use crate::seats::Seat;

const AGENT_STATUSES: &[&str] = &["pending", "contracted", "assigned", "implementing", "reported_done"];
const VERIFIED_STATUSES: &[&str] = &["unverified", "verified", "rejected"];

pub(super) const TOOLS: &[Tool] = &[
    Tool::new(
        "list_stories",
        "List a project's stories, 20 a page at most, without criteria and descriptions.",
        Effect::Reads,
        Run::Call(|arguments, settings| {
            let call = Call::get(KeyFor::Orchestrator, "/stories")
                .query("project_id", Some(project_of(arguments, settings)?))
                .query("agent_status", given(arguments, "agent_status"))
                .query("verified_status", given(arguments, "verified_status"))
                .query("epic_id", given(arguments, "epic_id"))
                .query("limit", Some(page_size(arguments)))
                .query("offset", offset(arguments));
            Ok(call.query(
                "include_token_totals",
                arguments.flag("include_token_totals").then(|| "true".to_owned()),
            ))
        }),
    )
    .takes(&[
        text("project_id").required(),
        text("agent_status"),
        text("verified_status"),
        text("epic_id"),
        integer("limit"),
        integer("offset"),
        flag("include_token_totals"),
    ])
    .told(Shape::Stories)
    .listed(&[Seat::Orchestrator])
    .briefly(
        "Stories of a project, a line each.",
        &[
            PROJECT,
            choice("agent_status", AGENT_STATUSES),
            choice("verified_status", VERIFIED_STATUSES),
            CURSOR,
        ],
    ),
    Tool::new(
        "list_ready_stories",
        "Stories that can be worked on now because all that they wait for is verified, 20 at most.",
        Effect::Reads,
        Run::Call(|arguments, settings| {
            Ok(Call::get(KeyFor::Orchestrator, "/stories/ready")
                .query("project_id", Some(project_of(arguments, settings)?))
                .query("limit", Some(page_size(arguments))))
        }),
    )
    .takes(&[text("project_id").required(), integer("limit")])
    .told(Shape::Stories)
    .listed(&[Seat::Orchestrator])
    .briefly("Stories that can be begun now.", &[PROJECT, within("limit", 1, 20), CURSOR]),
    Tool::new(
        "get_story",
        "Everything about one story, with what can be done next.",
        Effect::Reads,
        Run::Call(|arguments, _| {
            Ok(Call::get(KeyFor::Orchestrator, format!("/stories/{}", arguments.id("story_id")?)))
        }),
    )
    .takes(&[text("story_id").required()])
    .told(Shape::Story)
    .listed(&[Seat::Implementer, Seat::Reviewer, Seat::Orchestrator])
    .briefly(
        "Read a story: text, acceptance criteria, what to do next. story_id: its id, or number like 1.2.",
        &[STORY, PROJECT, CURSOR],
    ),
];
