//! The result, for people and for programs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::proof::Proof;
use super::tally::{Counts, Step};
use crate::table;

/// What a run has shown.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) agents: usize,
    pub(super) epics: usize,
    pub(super) stories: usize,
    pub(super) counts: Counts,
    pub(super) proof: Proof,
    pub(super) elapsed: Duration,
}

/// The longest quote that people are shown.
const QUOTE: usize = 100;
/// Chains of custody that people are shown; programs get all of them.
const SHOWN: usize = 5;

impl Report {
    /// For programs.
    pub(super) fn json(&self) -> Value {
        let accepted: Map<String, Value> =
            Step::ALL.iter().map(|step| (step.plural().to_owned(), json!(self.counts.of(*step)))).collect();
        let kinds = self.counts.refused.iter().map(|(cheat, refused)| {
            let (status, code) = cheat.answer();
            json!({
                "attempt": cheat.label(), "status": status, "code": code, "count": refused.count,
                "example": refused.example,
            })
        });
        json!({
            "seed": self.seed,
            "implementers": self.agents,
            "epics": self.epics,
            "stories": self.stories,
            "accepted": accepted,
            "refused": {"total": self.counts.refusals(), "kinds": kinds.collect::<Vec<_>>()},
            "proof": self.proof.json(),
            "seconds": (self.elapsed.as_secs_f64() * 10.0).round() / 10.0,
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let proof = format!("{}\n{}", Proof::claim(), self.proof.line());
        let parts = [self.summary(), self.work(), self.refusals(), self.custody(), proof];
        parts.join("\n\n")
    }

    fn summary(&self) -> String {
        format!(
            "{} implementers, a reviewer and an orchestrator worked through {} stories in {} epics, in {:.1} s.\n\
             Now and then one of them cut a corner or cheated: {} times. The server refused every time.",
            self.agents,
            self.stories,
            self.epics,
            self.elapsed.as_secs_f64(),
            self.counts.refusals()
        )
    }

    fn work(&self) -> String {
        let rows = [
            (Step::Claim, "an implementer took a story"),
            (Step::Report, "the reviewer confirmed that it is built"),
            (Step::Review, "the reviewer reviewed it"),
            (Step::Reject, "the orchestrator sent it back, and it was built again"),
            (Step::Verify, "the orchestrator verified it"),
        ];
        let rows: Vec<_> = rows
            .iter()
            .map(|(step, meaning)| {
                let count = self.counts.of(*step).to_string();
                vec![step.plural().to_owned(), format!("{count:>5}"), (*meaning).to_owned()]
            })
            .collect();
        format!("The work\n\n{}", table::human(&["step", "count", "meaning"], &rows))
    }

    /// The table, with the server's words under each row.
    fn refusals(&self) -> String {
        let rows: Vec<_> = self
            .counts
            .refused
            .iter()
            .map(|(cheat, refused)| {
                let (status, code) = cheat.answer();
                vec![cheat.label().to_owned(), format!("{:>5}", refused.count), format!("{status} {code}")]
            })
            .collect();
        let table = table::human(&["attempt", "count", "answer"], &rows);
        let mut lines: Vec<String> =
            vec!["What was refused, and how the server put it".to_owned(), String::new()];
        lines.extend(table.lines().take(2).map(str::to_owned));
        for (line, refused) in table.lines().skip(2).zip(self.counts.refused.values()) {
            lines.push(line.to_owned());
            lines.push(format!("    \"{}\"", table::one_line(short(&refused.example))));
        }
        lines.join("\n")
    }

    fn custody(&self) -> String {
        let built: Vec<String> =
            self.proof.by_implementer().iter().map(|(name, count)| format!("{name} {count}")).collect();
        let shown: Vec<_> = self.proof.stories.iter().take(SHOWN).collect();
        let cell = |who: &Option<String>| who.clone().unwrap_or_else(|| "nobody".to_owned());
        let rows: Vec<_> = shown
            .iter()
            .map(|story| {
                let who = [&story.reporter, &story.reviewer, &story.verifier].map(cell);
                [story.number.clone(), story.implementers.join(", ")].into_iter().chain(who).collect()
            })
            .collect();
        let header = ["story", "started by", "reported by", "reviewed by", "verified by"];
        let mut text =
            format!("Who did what in the last cycle, from the audit log\n\n{}", table::human(&header, &rows));
        let rest = self.proof.stories.len().saturating_sub(shown.len());
        if rest > 0 {
            text.push_str(&format!("\n... and {rest} more (all of them with --format json)"));
        }
        format!("{text}\nStories by implementer: {}", built.join(", "))
    }
}

/// As many whole sentences as fit on a line, at least one.
fn short(text: &str) -> &str {
    if text.len() <= QUOTE {
        return text;
    }
    let ends = text.match_indices(". ").map(|(at, _)| at + 1);
    let fitting = ends.clone().filter(|end| *end <= QUOTE).max().or(ends.min());
    fitting.map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::demo::plan::Cheat;
    use crate::demo::proof::Custody;
    use crate::demo::tally::Refused;

    fn report() -> Report {
        let some = |name: &str| Some(name.to_owned());
        let custody = |number: usize| Custody {
            number: format!("1.{number}"),
            implementers: vec![format!("implementer-{}", number % 2 + 1)],
            reporter: some("reviewer"),
            reviewer: some("reviewer"),
            verifier: some("orchestrator"),
            ..Custody::default()
        };
        let refused = Refused { count: 3, example: "Cannot report your own implementation.".to_owned() };
        Report {
            seed: 7,
            agents: 2,
            epics: 2,
            stories: 7,
            counts: Counts {
                accepted: BTreeMap::from([(Step::Claim, 9), (Step::Verify, 7)]),
                refused: BTreeMap::from([(Cheat::SelfReport, refused)]),
            },
            proof: Proof { stories: (1..=7).map(custody).collect(), exceptions: 0, expected: 7 },
            elapsed: Duration::from_millis(1240),
        }
    }

    #[test]
    fn people_see_the_refusals_and_the_proof() {
        let text = report().text();
        for part in [
            "2 implementers, a reviewer and an orchestrator worked through 7 stories in 2 epics, in 1.2 s.",
            "\nclaims             9  an implementer took a story\n",
            "\nreport the own story as done      3  409 self_report_blocked\n    \"Cannot report your own",
            "\n1.1    implementer-2  reviewer     reviewer     orchestrator\n",
            "\n... and 2 more",
            "\nStories by implementer: implementer-1 3, implementer-2 4\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(
            text.contains("\n\nThe invariant: no story is verified by `loop` unless an agent (or a person"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "\n7 of 7 stories that are verified by `loop` keep to the invariant; 0 exceptions"
            )
        );
    }

    #[test]
    fn programs_get_everything() {
        let json = report().json();
        assert_eq!(json["accepted"]["claims"], 9);
        assert_eq!(json["accepted"]["rejections"], 0);
        assert_eq!(json["refused"]["kinds"][0]["code"], "self_report_blocked");
        assert_eq!(json["proof"]["stories"].as_array().map(Vec::len), Some(7));
        assert_eq!(json["proof"]["holds"], true);
    }

    #[test]
    fn quotes_end_with_a_sentence() {
        assert_eq!(short("One. Two."), "One. Two.");
        let (first, long) = ("First sentence.", "x".repeat(QUOTE));
        assert_eq!(short(&format!("{first} {long}.")), first);
        assert_eq!(short(&format!("{long}. And more.")), format!("{long}."));
        assert_eq!(short(&long), long);
    }
}
