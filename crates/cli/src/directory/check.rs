//! What can be known to be wrong before anything is sent: duplicates, dangling dependencies, cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::Problem;
use super::assemble::{Edge, Payload};

/// Adds every problem of the request. With `merge`, unknown targets are left to the server: they may exist there.
pub(super) fn payload(payload: &Payload, merge: bool, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for story in payload.epics.values().flat_map(|epic| &epic.stories) {
        if let Some(first) = seen.insert(&story.number, &story.file) {
            problems.push(Problem::new(
                &story.file,
                format!("duplicate story number {} (also in {first})", story.number),
            ));
        }
    }
    let story_edges = payload.story_edges();
    if !merge {
        unknown("story", &story_edges, |number| seen.contains_key(number.as_str()), problems);
        unknown("epic", &payload.epic_edges, |number| payload.epics.contains_key(number), problems);
    }
    cycle("story", &story_edges, problems);
    cycle("epic", &payload.epic_edges, problems);
}

fn unknown<N: Display>(
    kind: &str,
    edges: &[Edge<N>],
    known: impl Fn(&N) -> bool,
    problems: &mut Vec<Problem>,
) {
    for edge in edges {
        for end in [&edge.dependent, &edge.prerequisite] {
            if !known(end) {
                problems.push(Problem::new(&edge.file, format!("unknown {kind} {end} in a dependency")));
            }
        }
    }
}

/// Reports one cycle, if there is any, at the file of its first edge.
fn cycle<N: Ord + Clone + Display>(kind: &str, edges: &[Edge<N>], problems: &mut Vec<Problem>) {
    let mut needs: BTreeMap<&N, Vec<&Edge<N>>> = BTreeMap::new();
    for edge in edges {
        needs.entry(&edge.dependent).or_default().push(edge);
    }
    let mut finished: BTreeSet<&N> = BTreeSet::new();
    for start in needs.keys() {
        // Depth first with an explicit path: a long chain must not exhaust the stack.
        let mut path: Vec<(&N, usize)> = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let edge = if finished.contains(*node) {
                None
            } else {
                needs.get(*node).and_then(|edges| edges.get(*next))
            };
            let Some(edge) = edge else {
                finished.insert(node);
                path.pop();
                continue;
            };
            *next += 1;
            let target = &edge.prerequisite;
            if let Some(position) = path.iter().position(|(node, _)| *node == target) {
                let nodes = path.iter().skip(position).map(|(node, _)| *node).chain([target]);
                let text = nodes.map(ToString::to_string).collect::<Vec<_>>().join(" -> ");
                problems.push(Problem::new(&edge.file, format!("{kind} dependencies form a cycle: {text}")));
                return;
            }
            path.push((target, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::directory::{File, assemble};

    fn messages(merge: bool, files: &[(&str, Value)]) -> Vec<String> {
        let files: Vec<File> = files.iter().map(|(path, content)| File::new(path, content.clone())).collect();
        let mut problems = Vec::new();
        let assembled = assemble::payload(&files, &mut problems);
        payload(&assembled, merge, &mut problems);
        problems.into_iter().map(|problem| format!("{}: {}", problem.file, problem.message)).collect()
    }

    fn story(number: &str, needs: &[&str]) -> Value {
        json!({"id": format!("US-{number}"), "title": "x", "dependencies": needs})
    }

    #[test]
    fn duplicates_name_both_files() {
        let got = messages(false, &[("a/us_1.json", story("1.1", &[])), ("b/us_1.json", story("1.1", &[]))]);
        assert_eq!(got, ["b/us_1.json: duplicate story number 1.1 (also in a/us_1.json)"]);
    }

    #[test]
    fn unknown_targets_are_wrong_unless_the_server_may_know_them() {
        let files = [
            ("us_1.1.json", story("1.1", &["US-9.9"])),
            ("epic_dependencies.json", json!([{"epic": 1, "depends_on": 4}])),
        ];
        assert_eq!(
            messages(false, &files),
            [
                "us_1.1.json: unknown story 9.9 in a dependency",
                "epic_dependencies.json: unknown epic 4 in a dependency"
            ]
        );
        assert!(messages(true, &files).is_empty());
    }

    #[test]
    fn cycles_are_found_wherever_they_close() {
        let files = [
            ("us_0.json", story("1.0", &["1.1"])),
            ("us_1.json", story("1.1", &["1.2"])),
            ("us_2.json", story("1.2", &["1.3"])),
            ("us_3.json", story("1.3", &["1.1"])),
        ];
        assert_eq!(
            messages(false, &files),
            ["us_3.json: story dependencies form a cycle: 1.1 -> 1.2 -> 1.3 -> 1.1"]
        );
        assert_eq!(
            messages(false, &[("us_1.json", story("1.1", &["1.1"]))]),
            ["us_1.json: story dependencies form a cycle: 1.1 -> 1.1"]
        );
    }

    #[test]
    fn shared_prerequisites_are_no_cycle() {
        let files = [
            ("us_1.json", story("1.1", &["1.2", "1.3"])),
            ("us_2.json", story("1.2", &["1.4"])),
            ("us_3.json", story("1.3", &["1.4"])),
            ("us_4.json", story("1.4", &[])),
        ];
        assert!(messages(false, &files).is_empty());
    }
}
