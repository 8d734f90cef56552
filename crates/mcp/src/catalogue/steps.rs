//! The steps of a story, and what leads to them.

use serde_json::{Map, Value, json};

use super::{Effect, PROJECT, Run, STORY, Shape, Tool};
use crate::api::{Call, KeyFor};
use crate::arguments::{Arguments, Field, Kind, Wrong, choice, integer, text};
use crate::seats::Seat;

const USED: Field = Field::new(
    "token_usage",
    Kind::Object(&[
        integer("input_tokens"),
        integer("output_tokens"),
        text("model_name"),
        integer("cost_millicents"),
    ]),
);
const ID: Field = text("story_id").required();
/// Whoever cannot take the one that is offered gets the next.
const AFTER: Field = text("after").about("story to pass over");

pub(super) const TOOLS: &[Tool] = &[
    Tool::new(
        "next_story",
        "The story to work on next, with its text and acceptance criteria. Begin here.",
        Effect::Reads,
        Run::NextStory,
    )
    .takes(&[PROJECT, AFTER])
    .told(Shape::Story)
    .listed(&[Seat::Implementer]),
    Tool::new(
        "next_review",
        "The next story that waits for a reviewer, with its text and acceptance criteria. Begin here.",
        Effect::Reads,
        Run::NextReview,
    )
    .takes(&[PROJECT, AFTER])
    .told(Shape::Story)
    .listed(&[Seat::Reviewer]),
    Tool::new(
        "contract_and_claim",
        "Take a story: repeat its exact title and the number of its acceptance criteria, which you have read.",
        Effect::Settles,
        Run::ContractAndClaim,
    )
    .takes(&[STORY, text("story_title").required(), integer("ac_count").required()])
    .told(Shape::Step)
    .listed(&[Seat::Implementer]),
    Tool::new(
        "contract_story",
        "Acknowledge a story's acceptance criteria: title and number of criteria must be the story's.",
        Effect::Settles,
        Run::Call(|arguments, _| {
            let body = arguments.some_of(&["story_title", "ac_count"]);
            Ok(step(KeyFor::Agent, arguments, "contract")?.body(Value::Object(body)))
        }),
    )
    .takes(&[ID, text("story_title").required(), integer("ac_count").required()])
    .told(Shape::Step),
    Tool::new(
        "claim_story",
        "Take a contracted story. Of any number of agents at once, one gets it.",
        Effect::Settles,
        Run::Call(|arguments, _| step(KeyFor::Agent, arguments, "claim")),
    )
    .takes(&[ID])
    .told(Shape::Step),
    Tool::new(
        "start_story",
        "Begin work on a story that you have claimed.",
        Effect::Settles,
        Run::Call(|arguments, _| step(KeyFor::Agent, arguments, "start")),
    )
    .takes(&[ID])
    .told(Shape::Step)
    .listed(&[Seat::Implementer]),
    Tool::new(
        "request_review",
        "Say that your work is done and committed: your last step. Somebody else reports and verifies it.",
        Effect::Settles,
        Run::Call(|arguments, _| step(KeyFor::Agent, arguments, "request-review")),
    )
    .takes(&[ID])
    .told(Shape::Worked)
    .listed(&[Seat::Implementer]),
    Tool::new(
        "unclaim_story",
        "Give a story back that you cannot finish.",
        Effect::Settles,
        Run::Call(|arguments, _| step(KeyFor::Agent, arguments, "unclaim")),
    )
    .takes(&[ID])
    .told(Shape::Step)
    .listed(&[Seat::Implementer]),
    Tool::new(
        "report_story",
        "Confirm that another agent's work on a story is done. Never your own.",
        Effect::Settles,
        Run::Call(|arguments, _| {
            let mut body = Map::new();
            if arguments.text("artifact_type").is_some() || arguments.text("artifact_path").is_some() {
                let names = [("artifact_type", "artifact_type"), ("artifact_path", "path")];
                let sent = |(from, to): (&str, &str)| Some((to.to_owned(), json!(arguments.text(from)?)));
                let artifact: Map<String, Value> = names.into_iter().filter_map(sent).collect();
                body.insert("artifact".to_owned(), Value::Object(artifact));
            }
            body.extend(arguments.some_of(&["token_usage"]));
            let call = step(KeyFor::Reviewer, arguments, "report")?;
            Ok(if body.is_empty() { call } else { call.body(Value::Object(body)) })
        }),
    )
    .takes(&[ID, text("artifact_type"), text("artifact_path"), USED])
    .told(Shape::Step)
    .listed(&[Seat::Reviewer]),
    Tool::new(
        "review_complete",
        "Record a finished review: what was found is what was fixed and what was disproved.",
        Effect::Adds,
        Run::Call(|arguments, _| {
            let names = ["review_type", "findings_count", "fixes_count", "disproved_count", "summary"];
            let body = arguments.some_of(&names);
            Ok(step(KeyFor::Reviewer, arguments, "review-complete")?.body(Value::Object(body)))
        }),
    )
    .takes(&[
        ID,
        text("review_type").required(),
        integer("findings_count"),
        integer("fixes_count"),
        integer("disproved_count"),
        text("summary"),
    ])
    .told(Shape::Step)
    .listed(&[Seat::Reviewer, Seat::Orchestrator]),
    Tool::new(
        "verify_story",
        "Mark a reported story verified. Needs a review of it; the server asks for summary and review_type.",
        Effect::Settles,
        Run::Call(|arguments, _| {
            let body = arguments.some_of(&["summary", "review_type"]);
            Ok(step(KeyFor::Orchestrator, arguments, "verify")?.body(Value::Object(body)))
        }),
    )
    .takes(&[ID, text("summary"), text("review_type")])
    .told(Shape::Step)
    .listed(&[Seat::Orchestrator]),
    Tool::new(
        "reject_story",
        "Send a story back, and say what is missing.",
        Effect::Settles,
        Run::Call(|arguments, _| {
            let body = arguments.some_of(&["reason"]);
            Ok(step(KeyFor::Orchestrator, arguments, "reject")?.body(Value::Object(body)))
        }),
    )
    .takes(&[ID, text("reason").required()])
    .told(Shape::Step)
    .listed(&[Seat::Orchestrator]),
    Tool::new(
        "bulk_mark_complete",
        "Mark stories complete that were done before the loop began.",
        Effect::Settles,
        Run::Call(|arguments, _| {
            for story in arguments.value("stories").and_then(Value::as_array).into_iter().flatten() {
                Arguments::default().with("story_id", story["story_id"].clone()).id("story_id")?;
            }
            let call = Call::post(KeyFor::Orchestrator, "/stories/bulk/mark-complete");
            Ok(call.body(Value::Object(arguments.some_of(&["stories"]))))
        }),
    )
    .takes(&[Field::new("stories", Kind::Objects(
        &[ID, text("summary").required(), text("review_type").required()],
        100,
    ))
    .required()]),
    Tool::new(
        "verify_all_in_epic",
        "Verify every story of an epic that is reported and not verified.",
        Effect::Settles,
        Run::Call(|arguments, _| {
            let path = format!("/epics/{}/verify-all", arguments.id("epic_id")?);
            let body = arguments.some_of(&["review_type", "summary"]);
            Ok(Call::post(KeyFor::Orchestrator, path).body(Value::Object(body)))
        }),
    )
    .takes(&[text("epic_id").required(), text("review_type").required(), text("summary").required()]),
    Tool::new(
        "wait_for_story",
        "Wait until something becomes of a story, for less than a minute; says what to do then.",
        Effect::Reads,
        Run::WaitForStory,
    )
    .takes(&[STORY, choice("until", &["moved", "settled"]).about("settled: verified or rejected")])
    .told(Shape::Step)
    .listed(&[Seat::Orchestrator]),
    Tool::new(
        "help",
        "What the loop is and what is yours in it; with a refusal's code, what to do about it.",
        Effect::Reads,
        Run::Help,
    )
    .takes(&[text("code")])
    .listed(&[Seat::Implementer, Seat::Reviewer, Seat::Orchestrator]),
];

fn step(key: KeyFor, arguments: &Arguments, step: &str) -> Result<Call, Wrong> {
    Ok(Call::post(key, format!("/stories/{}/{step}", arguments.id("story_id")?)))
}
