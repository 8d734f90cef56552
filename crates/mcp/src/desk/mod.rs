//! Calls tools: checks what was sent, makes the calls, and shapes what comes back for whoever asked.

mod articles;
mod fit;
mod named;
mod next;
mod own;
mod shape;

use serde_json::{Map, Value, json};

use crate::api::{Api, Call, KeyFor, Reply};
use crate::arguments::{Arguments, Wrong};
use crate::catalogue::{self, Effect, Run, Shape, Tool};
use crate::person;
use crate::seats::{Seat, Toolset};

/// What a tool answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The text, which is JSON.
    pub text: String,
    /// What is said beside it.
    pub note: Option<&'static str>,
    /// The same as a value, for whoever is answered as a role.
    pub structured: Option<Value>,
    /// Whether it was refused.
    pub is_error: bool,
    /// Whether it was refused because it takes a person.
    pub is_for_person: bool,
    /// What whoever has sent an argument of old is told, apart from the answer.
    pub hint: Option<&'static str>,
}

/// Tools over an API.
#[derive(Debug, Clone)]
pub struct Desk<A> {
    api: A,
    toolset: Toolset,
}

impl<A: Api> Desk<A> {
    /// Tools for whoever has these keys.
    pub fn new(api: A, toolset: Toolset) -> Self {
        Self { api, toolset }
    }

    /// What the calls are made of.
    pub(crate) fn api(&self) -> &A {
        &self.api
    }

    /// For whom tools are chosen.
    pub fn toolset(&self) -> &Toolset {
        &self.toolset
    }

    /// The tools as they are listed, always in the same order.
    pub fn list(&self) -> Vec<Value> {
        match self.toolset.seats() {
            None => catalogue::all().map(|tool| tool.listing(false)).collect(),
            Some(seats) => catalogue::all()
                .filter(|tool| tool.seats.iter().any(|seat| seats.contains(seat)))
                .map(|tool| tool.listing(true))
                .collect(),
        }
    }

    /// Whether a tool takes an argument of this name.
    pub(crate) fn takes(&self, tool: &str, argument: &str) -> bool {
        catalogue::find(tool)
            .is_some_and(|tool| tool.fields(false).iter().any(|field| field.name == argument))
    }

    /// Calls a tool, listed or not. None: there is no such tool.
    pub async fn call(&self, name: &str, sent: &Map<String, Value>) -> Option<Answer> {
        let tool = catalogue::find(name)?;
        let answer = match self.toolset.seats() {
            None => self.plainly(tool, sent).await,
            Some(seats) => self.for_seats(tool, sent, seats).await,
        };
        Some(Answer { hint: tool.fields.iter().find_map(|field| field.hint(sent)), ..answer })
    }

    /// In the API's own words.
    async fn plainly(&self, tool: &Tool, sent: &Map<String, Value>) -> Answer {
        let reply = match Arguments::read(tool.fields(false), sent) {
            Err(Wrong(why)) => Reply::nothing(why),
            Ok(arguments) => self.own(tool.run, &arguments, &[]).await.into_reply(),
        };
        let told = match tool.shape {
            Shape::Stories if reply.is_ok() => shape::without_long_fields(reply.told()),
            _ => reply.told(),
        };
        let lowered = reply.is_ok()
            && tool.shape.is_paged()
            && sent.get("limit").and_then(Value::as_i64).is_some_and(|limit| limit > 20);
        let note = lowered.then_some("limit was lowered to 20; send offset for the rest");
        let is_for_person = person::is_needed(&reply);
        let is_error = !reply.is_ok();
        Answer { text: format!("{told:#}"), note, structured: None, is_error, is_for_person, hint: None }
    }

    async fn make(&self, call: Result<Call, Wrong>) -> Reply {
        match call {
            Ok(call) => self.api.call(call).await,
            Err(Wrong(why)) => Reply::nothing(why),
        }
    }

    /// A story, with what can be done with it.
    async fn story(&self, key: KeyFor, id: &str) -> Reply {
        self.api.call(Call::get(key, format!("/stories/{id}"))).await
    }

    /// In few words, with what comes next.
    async fn for_seats(&self, tool: &Tool, sent: &Map<String, Value>, seats: &[Seat]) -> Answer {
        // Who sits on several goes on as what they have called this for.
        let (mut of_tool, others): (Vec<Seat>, Vec<Seat>) =
            seats.iter().partition(|seat| tool.seats.contains(seat));
        of_tool.extend(others);
        let seats = &of_tool[..];
        // What is called although it is not listed may be sent what its full form takes.
        let is_listed = tool.seats.iter().any(|seat| seats.contains(seat));
        let fields = tool.fields(is_listed);
        let takes = |name: &str| fields.iter().any(|field| field.name == name);
        let mut own = sent.clone();
        // Only what reads is read on: anything else would be done once more, and takes no cursor.
        let place = match tool.effect {
            Effect::Reads => taken_cursor(&mut own).map(Some),
            Effect::Adds | Effect::Settles | Effect::Destroys => Ok(None),
        };
        let place = match place {
            Ok(place) => place,
            Err(Wrong(why)) => return Answer::short(shape::wrong(&why, tool), true),
        };
        // A story's number is one of a project, which no list of arguments has to pay for.
        let takes_number = ["story_id", "scope_id"].into_iter().any(takes);
        let beside = if takes_number && !takes("project_id") { own.shift_remove("project_id") } else { None };
        let arguments = match Arguments::read(fields, &own) {
            Ok(arguments) => arguments,
            Err(Wrong(why)) => return Answer::short(shape::wrong(&why, tool), true),
        };
        let arguments = match beside {
            Some(project) => arguments.with("project_id", project),
            None => arguments,
        };
        let takes_project = takes("project_id") || takes_number;
        let arguments = match self.settled(arguments, tool, takes_project).await {
            Ok(arguments) => arguments,
            Err(refused) => return Answer::short(refused, true),
        };
        let told = match tool.run {
            Run::Call(call) => match call(&arguments, self.api.settings()) {
                Ok(call) => {
                    let reply = self.api.call(bounded(paged(call, tool, place), tool)).await;
                    own::Told::Reply(reply, tool.shape)
                }
                Err(Wrong(why)) => own::Told::Said(shape::wrong(&why, tool), true),
            },
            own => self.own(own, &arguments, seats).await,
        };
        match told {
            own::Told::Said(value, is_error) => Answer::short(value, is_error),
            own::Told::Reply(reply, shape) if reply.is_ok() => {
                let project = self.named_project(&arguments);
                Answer::short(shape::done(&reply.body, shape, seats, place, project), false)
            }
            own::Told::Reply(reply, _) => {
                let next = match reply.status {
                    // Who asks too often asks the same again, in a moment.
                    429 => Some(json!({"tool": tool.name, "arguments": sent})),
                    _ => self.after_refusal(&reply, &arguments, seats).await,
                };
                let refused = Answer::short(shape::refused(&reply, next), true);
                Answer { is_for_person: person::is_needed(&reply), ..refused }
            }
        }
    }

    /// What can be done with a story whose step was refused.
    async fn after_refusal(&self, reply: &Reply, arguments: &Arguments, seats: &[Seat]) -> Option<Value> {
        if !(400..500).contains(&reply.status) || [401, 404].contains(&reply.status) {
            return None;
        }
        match reply.body["error"]["code"].as_str() {
            // What was sent is to be mended, and the message says what of it.
            Some("validation_failed") => return None,
            Some("dependencies_not_met") if seats.first() == Some(&Seat::Implementer) => {
                return next::begin(seats);
            }
            _ => {}
        }
        let id = arguments.id("story_id").ok()?;
        let story = self.story(key_of(seats), &id).await;
        story.is_ok().then(|| next::after(&story.body, seats)).flatten()
    }
}

/// The place from which an answer is read on, taken out of what was sent. Models write texts as numbers now and then.
fn taken_cursor(sent: &mut Map<String, Value>) -> Result<usize, Wrong> {
    let none = || Wrong("cursor is none of an answer's".to_owned());
    match sent.shift_remove("cursor") {
        None | Some(Value::Null) => Ok(0),
        Some(Value::String(text)) if text.is_empty() => Ok(0),
        Some(Value::String(text)) => text.parse().map_err(|_| none()),
        Some(Value::Number(number)) => {
            number.as_u64().and_then(|place| place.try_into().ok()).ok_or_else(none)
        }
        Some(_) => Err(Wrong("cursor must be a string".to_owned())),
    }
}

/// The page that a cursor asks for.
fn paged(call: Call, tool: &Tool, place: Option<usize>) -> Call {
    let is_list = tool.shape.is_paged() && call.query.iter().any(|(name, _)| *name == "limit");
    call.query("offset", place.filter(|place| is_list && *place > 0).map(|place| place.to_string()))
}

/// No more articles than one answer shows, unless somebody has asked for more: each further part would be looked up, ranked and
/// counted as read once more.
fn bounded(call: Call, tool: &Tool) -> Call {
    let is_bounded =
        tool.shape != Shape::Articles || call.query.iter().any(|(name, _)| *name == "max_tokens");
    call.query("max_tokens", (!is_bounded).then(|| fit::TOKENS.to_string()))
}

/// With whose key somebody reads.
fn key_of(seats: &[Seat]) -> KeyFor {
    match seats.first() {
        Some(Seat::Implementer) => KeyFor::Agent,
        Some(Seat::Reviewer) => KeyFor::Reviewer,
        Some(Seat::Orchestrator) | None => KeyFor::Orchestrator,
    }
}

impl Answer {
    /// The same in the text as in the value: some clients hand on the one, some the other.
    fn short(value: Value, is_error: bool) -> Self {
        let value = fit::within_limits(value);
        let text = value.to_string();
        Self { text, note: None, structured: Some(value), is_error, is_for_person: false, hint: None }
    }
}
