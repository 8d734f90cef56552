//! Boards as tests make them: from answers and changes, as the server sends them.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::*;

pub(in super::super) fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(in super::super) fn noon() -> Moment {
    "2026-03-08T12:00:00Z".parse().unwrap()
}

/// So many minutes before noon.
fn ago(minutes: i64) -> String {
    (noon() - TimeDelta::minutes(minutes)).to_rfc3339()
}

pub(in super::super) const PROJECT: u128 = 1;
const ALICE: u128 = 0xa;
const BOB: u128 = 0xb;

fn node(number: u128, agent: &str, verified: &str) -> Value {
    json!({"id": uuid(0x100 + number), "number": format!("1.{number}"), "title": format!("Story {number}"),
           "agent_status": agent, "verified_status": verified})
}

fn graph(stories: &[Value], edges: &[(u128, u128)]) -> Value {
    let edge = |(from, to): &(u128, u128)| json!({"from": uuid(0x100 + from), "to": uuid(0x100 + to)});
    json!({"graph": {
        "epics": [{"id": uuid(0x10), "number": 1, "title": "First", "stories": stories},
                  {"id": uuid(0x20), "number": 2, "title": "Second", "stories": [
                    {"id": uuid(0x200), "number": "2.1", "title": "After all of epic 1",
                     "agent_status": "pending", "verified_status": "unverified"}]}],
        "epic_dependencies": [{"from": uuid(0x20), "to": uuid(0x10)}],
        "story_dependencies": edges.iter().map(edge).collect::<Vec<_>>()}})
}

fn plan(stories: &[Value], edges: &[(u128, u128)], asked: u64) -> Answer {
    Answer::Plan { project: uuid(PROJECT), graph: graph(stories, edges), asked }
}

/// A project of which each story is somewhere else.
pub(in super::super) fn board() -> Board {
    let mut board = Board::default();
    board.take(&Answer::Tenant(json!({"tenant": {"name": "Acme", "custody_halted_at": null}})));
    board.take(&Answer::Projects(vec![json!({"id": uuid(PROJECT), "slug": "my-app"})]));
    board.take(&Answer::Agents(
        json!({"data": [{"id": uuid(ALICE), "name": "alice"}, {"id": uuid(BOB), "name": "bob"}]}),
    ));
    let stories = [
        node(1, "reported_done", "verified"),
        node(2, "reported_done", "unverified"),
        node(3, "implementing", "unverified"),
        node(4, "pending", "rejected"),
        node(5, "pending", "unverified"),
        node(6, "pending", "unverified"),
        node(7, "assigned", "unverified"),
    ];
    board.take(&plan(&stories, &[(6, 5), (5, 1)], 0));
    let row = |number: u128, more: Value| {
        let mut row = node(number, "pending", "unverified");
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let rows = [
        row(2, json!({"agent_status": "reported_done", "reported_done_at": ago(90)})),
        row(
            3,
            json!({"agent_status": "implementing", "assigned_agent_id": uuid(ALICE), "assigned_at": ago(300)}),
        ),
        row(
            4,
            json!({"verified_status": "rejected", "rejected_at": ago(10), "rejection_reason": "No test fails"}),
        ),
        row(7, json!({"agent_status": "assigned", "assigned_agent_id": uuid(BOB), "assigned_at": ago(5)})),
    ];
    board.take(&Answer::Stories { rows: json!({"data": rows}), asked: 0 });
    board.settle();
    board
}

/// A change of a story.
pub(in super::super) fn change(number: u128, action: &str, state: Value) -> Value {
    json!({"entity_type": "story", "entity_id": uuid(0x100 + number), "action": action, "project_id": uuid(PROJECT),
           "actor_label": "agent:alice-key", "new_state": state, "inserted_at": ago(1), "metadata": {}})
}

fn needs(board: &Board) -> Vec<(Kind, String)> {
    let needs = board.needs(noon(), TimeDelta::hours(4));
    let number = |need: &Need| need.story.map_or(String::new(), |id| board.stories[&id].number.clone());
    needs.iter().map(|need| (need.kind, number(need))).collect()
}

fn stand(board: &Board, number: u128) -> Stand {
    let id = uuid(0x100 + number);
    board.stand(id, &board.stories[&id])
}

#[test]
fn what_needs_somebody_comes_in_order() {
    let mut board = board();
    let named =
        |needs: Vec<(Kind, String)>| needs.into_iter().map(|(kind, number)| format!("{kind:?} {number}"));
    let expected = ["Rejected 1.4", "HeldTooLong 1.3", "ToReview 1.2", "Blocks 1.5"];
    assert_eq!(named(needs(&board)).collect::<Vec<_>>(), expected);
    board.take(&Answer::Tenant(json!({"tenant": {"name": "Acme", "custody_halted_at": ago(3)}})));
    board.take(&Answer::Violations(json!({"meta": {"total_count": 2}})));
    board.take(&Answer::Budgets(vec![
        json!({"scope_type": "project", "scope_id": uuid(PROJECT), "utilization_pct": 120, "enforcement": "block"}),
        json!({"scope_type": "project", "scope_id": uuid(PROJECT), "utilization_pct": 99}),
        json!({"scope_type": "per_story", "scope_id": uuid(PROJECT), "token_utilization_pct": 100, "enforcement": "warn",
               "top_target": {"type": "story", "id": uuid(0x105)}}),
        json!({"scope_type": "project", "scope_id": uuid(77), "utilization_pct": 500}),
    ]));
    let first: Vec<_> = named(needs(&board)).take(4).collect();
    assert_eq!(
        first,
        ["Halted ", "Violations ", "OverBudget ", "OverBudget 1.5"],
        "and none of another project"
    );
}

#[test]
fn what_is_not_verified_is_waited_for() {
    let mut board = board();
    assert_eq!((stand(&board, 5), stand(&board, 6)), (Stand::Ready, Stand::Blocked));
    // The other epic waits for all that is open in this one.
    assert_eq!(board.waits.behind(uuid(0x105)), 2);
    assert!(board.waits.waits(uuid(0x200)));
    for number in 2..=7 {
        board.apply(&change(number, "verified", json!({"verified_status": "verified"})));
    }
    board.settle();
    assert!(!board.waits.waits(uuid(0x200)));
    assert_eq!(needs(&board), []);
    assert_eq!(board.edges(uuid(0x105)), (vec![uuid(0x101)], vec![uuid(0x106)]));
    assert_eq!(board.epics_before(uuid(0x200)), ["1 First"]);
}

/// The board follows a story through the loop by what the log says alone.
#[test]
fn a_story_goes_round_the_loop_without_a_request() {
    let mut board = board();
    let steps = [
        ("status_changed", json!({"agent_status": "contracted", "agent_id": uuid(BOB)}), Stand::Contracted),
        (
            "status_changed",
            json!({"agent_status": "assigned", "agent_id": uuid(BOB), "assigned_agent_id": uuid(BOB)}),
            Stand::Assigned,
        ),
        (
            "status_changed",
            json!({"agent_status": "implementing", "agent_id": uuid(BOB)}),
            Stand::Implementing,
        ),
        ("review_requested", json!({"agent_id": uuid(BOB), "review_requested_at": ago(2)}), Stand::ToReport),
        (
            "status_changed",
            json!({"agent_status": "reported_done", "reported_done_at": ago(2)}),
            Stand::ToReview,
        ),
        ("review_completed", json!({"reviewer_agent_id": uuid(ALICE)}), Stand::ToVerify),
        ("rejected", json!({"verified_status": "rejected", "rejection_reason": "No"}), Stand::Rejected),
        ("auto_reset", json!({"agent_status": "pending", "assigned_agent_id": null}), Stand::Rejected),
        (
            "status_changed",
            json!({"agent_status": "contracted", "agent_id": uuid(ALICE), "verified_status": "unverified"}),
            Stand::Contracted,
        ),
        ("force_unclaimed", json!({"agent_status": "pending"}), Stand::Ready),
        (
            "mark_complete",
            json!({"agent_status": "reported_done", "verified_status": "verified"}),
            Stand::Verified,
        ),
    ];
    for (action, state, expected) in steps {
        assert_eq!(board.apply(&change(5, action, state)), None, "{action}: nothing is to be read");
        assert_eq!(stand(&board, 5), expected, "{action}");
        let story = &board.stories[&uuid(0x105)];
        let held =
            matches!(expected, Stand::Contracted | Stand::Assigned | Stand::Implementing | Stand::ToReport);
        assert_eq!((story.is_held(), story.holder.is_some() || !held), (held, true), "{action}");
    }
    assert_eq!(board.events.len(), 10, "a rejection says that the story is open again");
    assert_eq!(board.events[6].what, "rejected: No");
    assert_eq!((board.events[0].what.as_str(), board.events[0].who.as_str()), ("contracted", "alice-key"));
    let latest = &Shown::of(&board, "", noon(), TimeDelta::hours(4)).events[0];
    assert_eq!(latest.title, "1.5  mark complete");
    assert_eq!(board.agent(Some(uuid(BOB))), "bob", "what agents are called is not what keys are");
}

#[test]
fn what_the_log_does_not_describe_is_read() {
    let mut board = board();
    let of = |kind: &str, action: &str| json!({"entity_type": kind, "action": action, "entity_id": uuid(9), "project_id": uuid(PROJECT), "new_state": {"name": "eve"}});
    let plan = Some(Again::Plan(uuid(PROJECT)));
    for (kind, action, again) in [
        ("story", "created", plan),
        ("story", "status_changed", Some(Again::Project(uuid(PROJECT)))),
        ("story_dependency", "created", plan),
        ("epic", "updated", plan),
        ("epic", "completed", None),
        ("project", "imported", plan),
        ("project", "archived", Some(Again::Projects)),
        ("token_usage_report", "created", Some(Again::Budgets)),
        ("tenant", "halt_cleared", Some(Again::Tenant)),
        ("audit_pending_violation", "resolved", Some(Again::Violations)),
        ("agent", "registered", None),
        ("article", "article.created", None),
    ] {
        assert_eq!(board.apply(&of(kind, action)), again, "{kind} {action}");
    }
    assert_eq!(board.agent(Some(uuid(9))), "eve");
    assert_eq!(board.agent(Some(uuid(0x1234_5678_9abc))), "agent 56789abc");
}

/// An answer that was asked for before a change does not take it back.
#[test]
fn what_has_happened_since_it_was_asked_for_stays() {
    let mut board = board();
    let asked = board.taken;
    board.apply(&change(5, "status_changed", json!({"agent_status": "contracted", "agent_id": uuid(BOB)})));
    board.take(&plan(&[node(5, "pending", "unverified"), node(6, "pending", "unverified")], &[], asked));
    let rows = json!({"data": [node(5, "pending", "unverified")]});
    board.take(&Answer::Stories { rows, asked });
    assert_eq!(stand(&board, 5), Stand::Contracted);
    assert!(!board.stories.contains_key(&uuid(0x101)), "what is not in the plan is gone");
    board.take(&plan(&[node(6, "reported_done", "unverified")], &[], board.taken));
    assert!(!board.stories.contains_key(&uuid(0x105)));
    assert_eq!(stand(&board, 6), Stand::ToReview);
}

#[test]
fn a_review_counts_from_the_report_on() {
    let mut board = board();
    let reviewed = |minutes| json!({"data": [{"entity_id": uuid(0x102), "inserted_at": ago(minutes)}]});
    board.take(&Answer::Reviews(reviewed(100)));
    assert_eq!(stand(&board, 2), Stand::ToReview, "that was of an earlier report");
    board.take(&Answer::Reviews(reviewed(80)));
    board.take(&Answer::Reviews(reviewed(100)));
    assert_eq!(stand(&board, 2), Stand::ToVerify);
}

#[test]
fn only_what_is_at_work_is_asked_for() {
    let body = graph(&[node(1, "assigned", "unverified"), node(2, "reported_done", "verified")], &[]);
    assert_eq!(parts(&body), [Part::Agent(AgentStatus::Assigned)]);
    let body = graph(&[node(1, "implementing", "rejected"), node(2, "reported_done", "unverified")], &[]);
    assert_eq!(parts(&body), [Part::Agent(AgentStatus::Implementing), Part::Unjudged, Part::Rejected]);
    assert_eq!(parts(&graph(&[], &[])), []);
    assert_eq!(first_report(&json!({"data": [{"reported_done_at": null}]})), None);
    let rows = json!({"data": [{"reported_done_at": ago(1)}, {"reported_done_at": ago(2)}]});
    assert_eq!(first_report(&rows).as_deref(), Some("2026-03-08T11:58:00.000000Z"));
}

/// Whatever comes in, the memory is bounded, and nothing of it acts on the terminal.
#[test]
fn texts_are_cut_and_do_nothing() {
    let mut board = board();
    let title = format!("\u{1b}[2J\u{202e}evil\r\n{}", "x".repeat(100_000));
    let mut story = node(5, "pending", "unverified");
    story["title"] = title.clone().into();
    board.take(&plan(&[story], &[], 0));
    for _ in 0..1000 {
        board.apply(&change(
            5,
            "rejected",
            json!({"verified_status": "rejected", "rejection_reason": title}),
        ));
        board.apply(&json!({"entity_type": title, "action": title, "actor_label": title, "new_state": {"name": title}}));
    }
    assert_eq!(board.events.len(), MOST_EVENTS);
    let texts = board.events.iter().flat_map(|event| [&event.who, &event.what]);
    let story = &board.stories[&uuid(0x105)];
    for text in texts.chain([&story.title, story.reason.as_ref().unwrap()]) {
        assert!(text.len() < 2000 && !text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
    }
    let many: Vec<_> =
        (1..=u128::try_from(MOST_STORIES).unwrap() + 7).map(|n| node(n, "pending", "unverified")).collect();
    board.take(&plan(&many, &[], u64::MAX));
    assert!(board.stories.len() <= MOST_STORIES);
    assert!(board.left_out > 0);
}

#[test]
fn what_was_before_stands_before_what_comes() {
    let mut board = board();
    let at = |number, minutes| {
        let mut change = change(number, "verified", json!({}));
        change["inserted_at"] = ago(minutes).into();
        change
    };
    board.apply(&at(5, 1));
    // The one that came meanwhile is there already.
    board.take(&Answer::Earlier(vec![at(2, 9), at(3, 8), at(5, 1)]));
    let shown = Shown::of(&board, "", noon(), TimeDelta::hours(4)).events;
    let told: Vec<_> = shown.iter().map(|row| row.title.as_str()).collect();
    assert_eq!(told, ["1.5  verified", "1.3  verified", "1.2  verified"]);
    board.take(&Answer::Earlier((0..1000).map(|_| at(4, 20)).collect()));
    assert_eq!(board.events.len(), MOST_EVENTS);
}

#[test]
fn ages_are_short() {
    let of = |minutes| age(noon() - TimeDelta::minutes(minutes), noon());
    assert_eq!([-5, 0, 1, 59, 60, 2879, 2880].map(of), ["now", "now", "1m", "59m", "1h", "47h", "2d"]);
}

#[test]
fn a_filter_is_passed_by_what_says_it() {
    let board = board();
    let shown = |filter| Shown::of(&board, filter, noon(), TimeDelta::hours(4));
    let titles =
        |rows: &[Row]| rows.iter().map(|row| format!("{} {}", row.number, row.title)).collect::<Vec<_>>();
    assert_eq!(titles(&shown("ALICE").held), ["1.3 Story 3"]);
    assert_eq!(titles(&shown("no test").needs), ["1.4 Story 4"]);
    assert_eq!(titles(&shown("blocked").stories), [" 2", "1.6 Story 6", "2.1 After all of epic 1"]);
    let all = shown("");
    assert_eq!(
        all.counts,
        Counts { all: 8, reported: 2, working: 2, contracted: 0, verified: 1, rejected: 1 }
    );
    assert_eq!(all.counts, shown("nothing").counts, "the picture is of all");
    assert_eq!(shown("nothing").stories, []);
    let epic = Board { epic: Some(uuid(0x20)), ..board };
    assert_eq!(
        titles(&Shown::of(&epic, "", noon(), TimeDelta::hours(4)).stories),
        [" 1", "2.1 After all of epic 1"]
    );
}
