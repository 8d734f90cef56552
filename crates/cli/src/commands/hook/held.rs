//! What an agent holds, and whether something of it waits for the agent itself.

use serde_json::Value;

/// What an agent has to do next on a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It has contracted the story, and nobody has claimed it.
    Claim,
    /// It has claimed it.
    Start,
    /// It works on it, and has not asked for a review.
    RequestReview,
    /// It was rejected, and is still the agent's.
    TakeAgain,
}

/// A story that waits for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) id: String,
    pub(super) number: String,
    pub(super) step: Step,
}

/// A reason to go on: a story, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) story: String,
    pub(super) status: String,
}

impl Step {
    /// The status in which it is the next step.
    fn status(self) -> &'static str {
        match self {
            Self::Claim => "contracted",
            Self::Start => "assigned",
            Self::RequestReview => "implementing",
            Self::TakeAgain => "rejected",
        }
    }
}

impl Held {
    /// The story of a list, where it waits for the agent `me`. What was asked to be reviewed, is reported or is verified waits for
    /// others.
    pub(super) fn of(story: &Value, me: &str) -> Option<Self> {
        let is_mine = |member: &str| story[member] == me;
        let status = (story["agent_status"].as_str()?, story["verified_status"].as_str()?);
        let step = match status {
            (_, "verified") => return None,
            ("contracted", _)
                if is_mine("contracted_by_agent_id") && story["assigned_agent_id"].is_null() =>
            {
                Step::Claim
            }
            _ if !is_mine("assigned_agent_id") => return None,
            ("assigned", _) => Step::Start,
            ("implementing", _) if story["review_requested_at"].is_null() => Step::RequestReview,
            ("reported_done", "rejected") => Step::TakeAgain,
            _ => return None,
        };
        let text = |member: &str| story[member].as_str().map(ToOwned::to_owned);
        Some(Self { id: text("id")?, number: text("number")?, step })
    }

    fn reason(&self) -> Reason {
        Reason { story: self.id.clone(), status: self.step.status().to_owned() }
    }

    /// What to do, as a tool and as a command. `named` says that the command line knows the project of a number.
    fn told(&self, named: bool) -> String {
        let Self { id, number, step } = self;
        let story = if named { number } else { id };
        let call = |tool: &str, command: &str| {
            format!("{tool} {{\"story_id\": \"{id}\"}}, or: loopctl {command} {story}")
        };
        let instead =
            format!("If you cannot finish it, commit what is useful and run: loopctl unclaim {story}");
        match step {
            Step::Claim => format!(
                "{number} is contracted by you. Next: what get_story {{\"story_id\": \"{id}\"}} says, or: loopctl claim {story}"
            ),
            Step::Start => {
                format!("{number} is claimed by you. Next: {}. {instead}", call("start_story", "start"))
            }
            Step::RequestReview => format!(
                "{number} is being implemented by you. When every criterion is met: {}. {instead}",
                call("request_review", "request-review")
            ),
            Step::TakeAgain => format!(
                "{number} was rejected and is still yours. See why: {}. Then give it back, and contract it again: \
                 loopctl unclaim {story}",
                call("get_story", "story show")
            ),
        }
    }
}

/// Whether the agent is kept at work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    LetGo,
    /// With what to do, and for which reasons.
    Block(String, Vec<Reason>),
}

/// Keeps the agent at work for what it holds and was not told before. `kept` says that some hook has kept it from stopping: where
/// that was not this one, the agent has been held up enough.
pub(super) fn verdict(held: &[Held], said: &[Reason], kept: bool, named: bool) -> Verdict {
    let new: Vec<&Held> = held.iter().filter(|held| !said.contains(&held.reason())).collect();
    if new.is_empty() || (kept && said.is_empty()) {
        return Verdict::LetGo;
    }
    // Nobody reads a list of fifty.
    const SHOWN: usize = 5;
    let mut lines: Vec<String> =
        new.iter().take(SHOWN).map(|held| format!("Story {}", held.told(named))).collect();
    if new.len() > SHOWN {
        lines.push(format!("And {} stories more wait for you.", new.len() - SHOWN));
    }
    lines.insert(0, "Your work in loopctl is not done.".to_owned());
    lines.push("If none of this is your task now, say so and stop: you are not told again.".to_owned());
    Verdict::Block(lines.join("\n"), new.iter().map(|held| held.reason()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(members: Value) -> Option<Step> {
        let mut story = json!({"id": "s", "number": "2.1", "verified_status": "unverified", "assigned_agent_id": null,
            "contracted_by_agent_id": "me", "review_requested_at": null});
        story.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Held::of(&story, "me").map(|held| held.step)
    }

    #[test]
    fn what_waits_for_others_is_not_held() {
        for story in [
            json!({"agent_status": "pending"}),
            json!({"agent_status": "contracted", "contracted_by_agent_id": "other"}),
            json!({"agent_status": "contracted", "contracted_by_agent_id": null}),
            json!({"agent_status": "assigned", "assigned_agent_id": "other"}),
            json!({"agent_status": "implementing", "assigned_agent_id": "other"}),
            json!({"agent_status": "implementing", "assigned_agent_id": "me", "review_requested_at": "T"}),
            json!({"agent_status": "reported_done", "assigned_agent_id": "me"}),
            json!({"agent_status": "reported_done", "assigned_agent_id": "me", "verified_status": "verified"}),
            json!({"agent_status": "reported_done", "assigned_agent_id": "other", "verified_status": "rejected"}),
            json!({"agent_status": "assigned", "assigned_agent_id": "me", "verified_status": "verified"}),
            json!({"agent_status": "implementing", "assigned_agent_id": "me", "id": null}),
            json!({"agent_status": null, "assigned_agent_id": "me"}),
        ] {
            assert_eq!(step(story.clone()), None, "{story}");
        }
    }

    #[test]
    fn each_status_has_its_next_step() {
        assert_eq!(step(json!({"agent_status": "contracted"})), Some(Step::Claim));
        let mine = |status: &str, verified: &str| {
            step(json!({"agent_status": status, "assigned_agent_id": "me", "verified_status": verified}))
        };
        assert_eq!(mine("assigned", "unverified"), Some(Step::Start));
        assert_eq!(mine("implementing", "unverified"), Some(Step::RequestReview));
        assert_eq!(mine("implementing", "rejected"), Some(Step::RequestReview));
        assert_eq!(mine("reported_done", "rejected"), Some(Step::TakeAgain));
    }

    fn held(number: &str, step: Step) -> Held {
        Held { id: format!("id-{number}"), number: number.to_owned(), step }
    }

    fn reason(number: &str, status: &str) -> Reason {
        Reason { story: format!("id-{number}"), status: status.to_owned() }
    }

    #[test]
    fn a_reason_is_told_once() {
        let stories = [held("2.1", Step::RequestReview), held("2.2", Step::Start)];
        let told = |said: &[Reason], kept: bool| match verdict(&stories, said, kept, true) {
            Verdict::LetGo => Vec::new(),
            Verdict::Block(_, reasons) => reasons,
        };
        let (first, second) = (reason("2.1", "implementing"), reason("2.2", "assigned"));
        assert_eq!(told(&[], false), [first.clone(), second.clone()]);
        assert_eq!(told(std::slice::from_ref(&first), false), std::slice::from_ref(&second));
        assert_eq!(told(&[first.clone(), second.clone()], false), []);
        // Another status is another reason, also right after the agent was kept for the one before.
        assert_eq!(told(&[reason("2.1", "assigned"), second], true), std::slice::from_ref(&first));
        // It was kept, and not by us.
        assert_eq!(told(&[], true), []);
        assert_eq!(verdict(&[], &[], false, true), Verdict::LetGo);
    }

    #[test]
    fn the_next_call_is_named_as_tool_and_as_command() {
        let text = |step: Step, named: bool| match verdict(&[held("2.1", step)], &[], false, named) {
            Verdict::Block(text, _) => text.lines().nth(1).unwrap().to_owned(),
            Verdict::LetGo => panic!("it is held"),
        };
        assert_eq!(
            text(Step::Claim, true),
            "Story 2.1 is contracted by you. Next: what get_story {\"story_id\": \"id-2.1\"} says, or: loopctl claim 2.1"
        );
        assert!(
            text(Step::Start, true).contains("start_story {\"story_id\": \"id-2.1\"}, or: loopctl start 2.1")
        );
        assert!(
            text(Step::RequestReview, false)
                .contains("request_review {\"story_id\": \"id-2.1\"}, or: loopctl request-review id-2.1")
        );
        assert!(text(Step::RequestReview, true).ends_with("run: loopctl unclaim 2.1"));
        assert!(text(Step::TakeAgain, true).contains("loopctl story show 2.1"));
    }

    #[test]
    fn many_stories_are_counted() {
        let stories: Vec<Held> = (1..=8).map(|n| held(&format!("1.{n}"), Step::Start)).collect();
        let Verdict::Block(text, reasons) = verdict(&stories, &[], false, true) else { panic!("it is held") };
        assert_eq!((text.matches("is claimed by you").count(), reasons.len()), (5, 8));
        assert!(text.contains("And 3 stories more wait for you."), "{text}");
    }
}
