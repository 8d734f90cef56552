//! One story as people read it: where it stands, what is to be done, what it waits for.

use serde_json::Value;

use super::super::deps::Around;
use crate::layout::block::{Block, Fact, Item};
use crate::layout::table::{Column, said};
use crate::layout::{Screen, object, status, times};
use crate::output::next_steps;
use crate::table::{one_line, plain};
use crate::terminal::Tone;

/// Stories beside this one.
const OTHERS: &[Column<'_>] =
    &[Column::reference("number"), Column::text("title"), Column::status("status"), Column::id("id")];
/// More of them are counted.
const MOST: usize = 20;
/// Members that have a place of their own here, or say nothing to people.
const TOLD: &[&str] = &[
    "number",
    "title",
    "description",
    "acceptance_criteria",
    "metadata",
    "dependencies",
    "artifacts",
    "latest_verification",
    "estimated_hours",
    "agent_status",
    "verified_status",
    "verification_source",
    "contract_stale",
    "verification_stale",
    "rejection_reason",
    "next_actions",
    "sort_key",
    "verifier_needed",
    "iteration_count",
];

/// All of it. `around` is what the project says of it: its epic, and what waits for what.
pub(super) fn whole<'s>(body: &Value, around: &Around<'_>, screen: &'s Screen) -> Block<'s> {
    let story = &body["story"];
    let mut block = Block::new(screen);
    block.heading(&plain(&story["number"]), &plain(&story["title"]));
    block.blank();
    let mut facts = facts(story, screen);
    if let Some(epic) = around.epic {
        facts.insert(1, Fact::new("epic", format!("{}  {}", plain(&epic["number"]), plain(&epic["title"]))));
    }
    facts.extend(others(story, screen));
    block.facts(&facts);
    let description = plain(&story["description"]);
    if !description.trim().is_empty() {
        block.blank();
        block.paragraphs(&description);
    }
    criteria(&mut block, story);
    neighbours(&mut block, "Depends on", &around.needs);
    let unknown = story["dependencies"].as_array().map_or(0, Vec::len);
    if around.needs.is_empty() && unknown > 0 {
        block.blank();
        block.facts(&[Fact::new("depends on", format!("{unknown} stories: loopctl deps graph names them"))]);
    }
    neighbours(&mut block, "Needed by", &around.needed_by);
    artifacts(&mut block, &story["artifacts"]);
    metadata(&mut block, &story["metadata"], screen);
    let number = plain(&story["number"]);
    if body["next_actions"].as_array().is_some_and(|next| !next.is_empty()) {
        block.blank();
        next_steps(&mut block, body.get("next_actions"), &number, screen);
    }
    block
}

/// What has become of it by a step, and what can come next.
pub(in crate::commands) fn brief<'s>(body: &Value, screen: &'s Screen) -> Block<'s> {
    let story = if body["story"].is_object() { &body["story"] } else { body };
    let mut block = Block::new(screen);
    block.heading(&plain(&story["number"]), &plain(&story["title"]));
    block.blank();
    let mut facts = facts(story, screen);
    facts.extend(others(story, screen));
    block.facts(&facts);
    let next = body.get("next_actions").or_else(|| story.get("next_actions"));
    next_steps(&mut block, next, &plain(&story["number"]), screen);
    block
}

/// Where it stands, and since when.
fn facts(story: &Value, screen: &Screen) -> Vec<Fact> {
    let mut facts = vec![Fact::status("status", standing(story))];
    let stale = [("contract_stale", "contracted"), ("verification_stale", "verified")];
    let stale: Vec<&str> =
        stale.iter().filter(|(flag, _)| story[*flag] == true).map(|(_, what)| *what).collect();
    if !stale.is_empty() {
        let since = stale.join(" and ");
        facts.push(Fact::new("stale", format!("title or criteria have changed since they were {since}")));
    }
    let steps = [
        ("assigned_at", "claimed"),
        ("review_requested_at", "review requested"),
        ("reported_done_at", "reported done"),
        ("rejected_at", "rejected"),
        ("verified_at", "verified"),
    ];
    let mut steps: Vec<(&str, &str)> =
        steps.iter().filter_map(|(member, step)| Some((story[*member].as_str()?, *step))).collect();
    // They are in one form, so they can be compared as they are.
    steps.sort_by_key(|(time, _)| *time);
    let steps = steps.iter().map(|(time, step)| format!("{step} {}", times::told(time, screen)));
    facts.push(Fact::new("steps", steps.collect::<Vec<_>>().join(", ")));
    facts.push(Fact::new("rejected", plain(&story["rejection_reason"])));
    let verification = &story["latest_verification"];
    if verification.is_object() {
        let of = |name: &str| plain(&verification[name]);
        let (result, review, summary) = (of("result"), of("review_type"), of("summary"));
        let review = if review.is_empty() { review } else { format!(" by {review} review") };
        // Why it was rejected stands above.
        let is_said = summary.is_empty() || story["rejection_reason"] == summary.as_str();
        let summary = if is_said { String::new() } else { format!(": {summary}") };
        facts.push(Fact::status("last verdict", result + &review + &summary));
    }
    let hours = plain(&story["estimated_hours"]);
    facts.push(Fact::new("estimated", if hours.is_empty() { hours } else { format!("{hours} h") }));
    let time = |name: &str| story[name].as_str().map(|time| times::told(time, screen)).unwrap_or_default();
    let (created, changed) = (time("inserted_at"), time("updated_at"));
    let changed = if changed == created { String::new() } else { format!(", changed {changed}") };
    facts.push(Fact::new("created", if created.is_empty() { created } else { created + &changed }));
    facts
}

/// `reported done`; of what is verified, how it came to be.
fn standing(story: &Value) -> String {
    let standing = status::of_story(story);
    let how = match story["verification_source"].as_str() {
        Some("loop") => "in the loop",
        Some("backfill") => "by backfill",
        Some("mark_complete") => "marked complete",
        Some("import") => "by import",
        _ => return standing,
    };
    if standing.starts_with("verified") { format!("{standing}, {how}") } else { standing }
}

/// What else a server says of it: ids, where they are wanted.
fn others(story: &Value, screen: &Screen) -> Vec<Fact> {
    if !screen.is_wide && !screen.is_full {
        return Vec::new();
    }
    let members = story.as_object().into_iter().flatten();
    let other = members.filter(|(name, value)| {
        !TOLD.contains(&name.as_str())
            && !name.ends_with("_at")
            && !value.is_null()
            && !value.is_object()
            && !value.is_array()
    });
    other.map(|(name, value)| Fact::new(crate::layout::text::label(name), said(value))).collect()
}

/// The criteria, each with its state. That all were verified says the story.
fn criteria(block: &mut Block<'_>, story: &Value) {
    let Some(criteria) = story["acceptance_criteria"].as_array().filter(|criteria| !criteria.is_empty())
    else {
        return;
    };
    let is_verified = story["verified_status"] == "verified" && story["verification_stale"] != true;
    let items = criteria_items(criteria, |_| is_verified);
    let done = items.iter().filter(|item| item.tone == Tone::Good).count();
    block.section(&format!("Acceptance criteria ({done} of {} verified)", items.len()));
    block.items(&items);
}

/// Each criterion with its state. Whether what it says of itself counts, `is_verified` knows: a plan may say anything.
pub(in crate::commands) fn criteria_items(
    criteria: &[Value],
    is_verified: impl Fn(Option<&str>) -> bool,
) -> Vec<Item> {
    let state = |criterion: &Value| match criterion["status"].as_str() {
        Some("failed" | "fail" | "unverifiable") => ("[!]", Tone::Bad),
        said if is_verified(said) => ("[x]", Tone::Good),
        _ => ("[ ]", Tone::Plain),
    };
    let item = |(place, criterion): (usize, &Value)| {
        let (mark, tone) = state(criterion);
        let id = criterion["ac_id"].as_str().or_else(|| criterion["id"].as_str());
        let id = id.map_or_else(|| format!("{place}."), ToOwned::to_owned);
        Item { name: format!("{mark} {id}"), text: criterion_text(criterion), tone }
    };
    (1..).zip(criteria).map(item).collect()
}

/// The words of a criterion, whichever way it was written.
fn criterion_text(criterion: &Value) -> String {
    let words =
        ["description", "criterion", "text", "title"].iter().find_map(|name| criterion[*name].as_str());
    let words = words.map_or_else(|| plain(criterion), ToOwned::to_owned);
    match criterion["evidence_path"].as_str() {
        Some(evidence) => format!("{words} ({evidence})"),
        None => words,
    }
}

fn neighbours(block: &mut Block<'_>, heading: &str, stories: &[&Value]) {
    if stories.is_empty() {
        return;
    }
    block.section(heading);
    let rows: Vec<Value> =
        stories.iter().take(MOST).map(|story| super::super::stories::told(story)).collect();
    block.table(OTHERS, &rows);
    if stories.len() > MOST {
        block.line(format!("... and {} more", stories.len() - MOST));
    }
}

fn artifacts(block: &mut Block<'_>, artifacts: &Value) {
    let Some(artifacts) = artifacts.as_array().filter(|artifacts| !artifacts.is_empty()) else { return };
    block.section(&format!("Artifacts ({})", artifacts.len()));
    let items: Vec<Item> = artifacts
        .iter()
        .map(|artifact| {
            let is_missing = artifact["exists"] == false;
            let missing = if is_missing { "  (missing)" } else { "" };
            Item {
                name: one_line(&plain(&artifact["artifact_type"])),
                text: format!("{}{missing}", plain(&artifact["path"])),
                tone: if is_missing { Tone::Bad } else { Tone::Quiet },
            }
        })
        .collect();
    block.items(&items);
}

fn metadata(block: &mut Block<'_>, metadata: &Value, screen: &Screen) {
    let Some(members) = metadata.as_object().filter(|members| !members.is_empty()) else { return };
    if !screen.is_full {
        block.blank();
        return block.facts(&[Fact::new("metadata", object::folded(members, screen.width))]);
    }
    block.section("Metadata");
    object::tree(metadata, 0, screen).iter().for_each(|line| block.set_in(line));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn story() -> Value {
        json!({"story": {
            "id": "s", "tenant_id": "t", "number": "1.2", "title": "Database schema and migrations", "estimated_hours": "5",
            "description": "A member books a tool for a span of hours or days, and nobody else can have it.\n\n- one\n- two",
            "acceptance_criteria": [{"id": "AC-1", "criterion": "Migrations run forward from an empty database without manual steps"},
                {"description": "A test shows it", "status": "failed"}, "plain"],
            "agent_status": "reported_done", "verified_status": "verified", "verification_source": "loop",
            "assigned_at": "2026-11-30T08:00:00Z", "reported_done_at": "2026-11-30T09:00:00Z", "verified_at": "2026-11-30T11:00:00Z",
            "rejection_reason": null, "contract_stale": false, "verification_stale": false,
            "latest_verification": {"result": "pass", "review_type": "manual", "summary": "All criteria checked"},
            "metadata": {"phase": "p0", "test_cases": [{"id": "TC-1"}]},
            "dependencies": [{"story_id": "s", "depends_on_story_id": "d"}],
            "artifacts": [{"artifact_type": "file", "path": "src/schema.sql", "exists": true}],
            "inserted_at": "2026-11-28T12:00:00Z", "updated_at": "2026-11-30T11:00:00Z"},
            "next_actions": [{"action": "reject", "method": "POST", "path": "/x"}]})
    }

    #[test]
    fn a_story_fits_on_a_screen() {
        let (epic, needed) = (
            json!({"number": 1, "title": "Foundations"}),
            json!({"number": "1.1", "title": "Repository", "agent_status": "pending", "verified_status": "rejected"}),
        );
        let around = Around { epic: Some(&epic), needs: vec![&needed], needed_by: Vec::new() };
        let expected = "\
1.2  Database schema and migrations

status:       verified, in the loop
epic:         1  Foundations
steps:        claimed 4 h ago, reported done 3 h ago, verified 60 min ago
last verdict: pass by manual review: All criteria checked
estimated:    5 h
created:      2 d ago, changed 60 min ago

A member books a tool for a span of hours or days, and nobody else can have
it.

- one
- two

Acceptance criteria (2 of 3 verified)
  [x] AC-1  Migrations run forward from an empty database without manual
            steps
  [!] 2.    A test shows it
  [x] 3.    plain

Depends on
number  title       status
------  ----------  --------
1.1     Repository  rejected

Artifacts (1)
  file  src/schema.sql

metadata: phase: p0; test cases (1) with --full

next: loopctl reject 1.2";
        assert_eq!(whole(&story(), &around, &Screen::of(76)).text(), expected);
    }

    #[test]
    fn a_plan_that_calls_its_criteria_done_has_verified_nothing() {
        let mut body = story();
        body["story"]["verified_status"] = json!("unverified");
        for word in ["done", "met", "pass", "verified"] {
            body["story"]["acceptance_criteria"] =
                json!([{"id": "AC-1", "criterion": "It works", "status": word}]);
            let text = whole(&body, &Around::default(), &Screen::of(76)).text();
            assert!(text.contains("(0 of 1 verified)\n  [ ] AC-1  It works\n"), "{word}: {text}");
        }
    }

    #[test]
    fn what_is_folded_and_ids_are_shown_when_asked_for() {
        let screen = Screen { is_full: true, is_wide: true, ..Screen::of(76) };
        let text = whole(&story(), &Around::default(), &screen).text();
        for part in [
            "\nid:           s\n",
            "tenant id:    t",
            "Metadata\n  phase: p0\n  test_cases:",
            "claimed 2026-11-30T08:00:00Z",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(text.contains("depends on: 1 stories: loopctl deps graph names them"), "{text}");
    }

    #[test]
    fn a_step_is_told_in_few_lines() {
        let mut body = story();
        body["story"]["verification_stale"] = json!(true);
        let text = brief(&body, &Screen::of(80)).text();
        assert!(text.contains("verified (stale), in the loop\nstale:        title or criteria have changed since they were verified"), "{text}");
        assert!(!text.contains("Acceptance") && text.ends_with("\nnext: loopctl reject 1.2"), "{text}");
    }
}
