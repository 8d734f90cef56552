//! The dependency graph of a project as text.

use std::collections::HashMap;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::layout::table::aligned;
use crate::layout::text::cut;
use crate::layout::{Screen, status};
use crate::table::{one_line, plain};
use crate::terminal::Tone;

/// What a table of the graph shows.
pub(super) const COLUMNS: &[&str] =
    &["epic", "number", "title", "agent_status", "verified_status", "waits_for"];

/// How far stories are set in below their epic.
const INDENT: usize = 2;
/// A title is cut no further for what its story waits for.
const SHORTEST: usize = 24;

/// An epic or story, with what it needs.
struct Node<'a> {
    value: &'a Value,
    needs: Vec<Need>,
}

/// A prerequisite.
#[derive(Clone)]
struct Need {
    number: String,
    verified: bool,
}

/// Epics with their stories, and what each waits for.
pub(super) struct Graph<'a> {
    epics: Vec<(Node<'a>, Vec<Node<'a>>)>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(graph: &'a Value) -> Self {
        let epics = array(&graph["epics"]);
        let stories: Vec<&Value> = epics.iter().flat_map(stories_of).collect();
        let story_needs = needs(&graph["story_dependencies"], &stories, is_verified);
        // Stories wait for an epic until nothing of it is left to verify.
        let epic_needs = needs(&graph["epic_dependencies"], &epics.iter().collect::<Vec<_>>(), |epic| {
            stories_of(epic).iter().all(is_verified)
        });
        let node = |value: &'a Value, needs: &HashMap<&str, Vec<Need>>| Node {
            value,
            needs: value["id"].as_str().and_then(|id| needs.get(id)).cloned().unwrap_or_default(),
        };
        let epics = epics.iter().map(|epic| {
            let stories = stories_of(epic).iter().map(|story| node(story, &story_needs));
            (node(epic, &epic_needs), stories.collect())
        });
        Self { epics: epics.collect() }
    }

    /// One row per story.
    pub(super) fn rows(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        for (epic, stories) in &self.epics {
            for story in stories {
                let of = |key: &str| &story.value[key];
                let needs: Vec<&str> = story.needs.iter().map(|need| need.number.as_str()).collect();
                rows.push(json!({
                    "epic": epic.value["number"], "number": of("number"), "title": of("title"),
                    "agent_status": of("agent_status"), "verified_status": of("verified_status"),
                    "waits_for": needs.join(", "),
                }));
            }
        }
        rows
    }

    /// Every epic, and below it its stories: number, title, status, prerequisites.
    pub(super) fn picture(&self, screen: &Screen) -> String {
        let stories: Vec<&Node<'_>> = self.epics.iter().flat_map(|(_, stories)| stories).collect();
        let of = |story: &Node<'_>, key: &str| one_line(&plain(&story.value[key]));
        let widest = |of: &dyn Fn(&Node<'_>) -> String| {
            stories.iter().map(|story| of(story).width()).max().unwrap_or(0)
        };
        let others = [
            widest(&|story| of(story, "number")),
            widest(&|story| status::of_story(story.value)),
            widest(&|story| story.waits("")),
        ];
        // What is cut is the title, and then what a story waits for: number and status say most.
        let room = screen.width.saturating_sub(INDENT + 3 * 2 + others[0] + others[1]);
        let room = if screen.is_wide { usize::MAX } else { room };
        let titles = widest(&|story| of(story, "title"));
        let title = titles.min(room.saturating_sub(others[2]).max(SHORTEST));
        let waits = room.saturating_sub(title);
        let cells = stories.iter().map(|story| {
            let status = status::of_story(story.value);
            vec![
                (Tone::Strong, of(story, "number")),
                (Tone::Plain, cut(&of(story, "title"), title)),
                (status::tone(&status), status),
                (Tone::Quiet, cut(&story.waits(""), waits)),
            ]
        });
        // All stories are one table, so that the columns of all epics stand below each other.
        let mut story_lines = aligned(cells.collect(), screen).into_iter();
        let mut lines = Vec::new();
        for (epic, stories) in &self.epics {
            let verified = stories.iter().filter(|story| is_verified(story.value)).count();
            let text = |key: &str| one_line(&plain(&epic.value[key]));
            let heading = format!(
                "Epic {}  {}  ({verified} of {} verified)  {}",
                text("number"),
                text("title"),
                stories.len(),
                epic.waits("epic ")
            );
            let heading = if screen.is_wide { heading } else { cut(&heading, screen.width) };
            lines.push(screen.style.bold(heading.trim_end()));
            lines.extend(story_lines.by_ref().take(stories.len()).map(|line| format!("  {line}")));
        }
        if lines.is_empty() {
            return "The project has no epics.".to_owned();
        }
        if self.epics.iter().any(|(epic, stories)| {
            !epic.needs.is_empty() || stories.iter().any(|story| !story.needs.is_empty())
        }) {
            lines.extend([String::new(), "<- needs what follows; [x] is verified".to_owned()]);
        }
        lines.join("\n")
    }
}

impl Node<'_> {
    /// `<- 1.1 [x], 1.2`: what it needs, and what of that is verified.
    fn waits(&self, prefix: &str) -> String {
        if self.needs.is_empty() {
            return String::new();
        }
        let need =
            |need: &Need| format!("{prefix}{}{}", need.number, if need.verified { " [x]" } else { "" });
        format!("<- {}", self.needs.iter().map(need).collect::<Vec<_>>().join(", "))
    }
}

/// What a project says of one of its stories.
#[derive(Debug, Default)]
pub(in crate::commands) struct Around<'a> {
    pub(in crate::commands) epic: Option<&'a Value>,
    /// What it waits for, or has waited for.
    pub(in crate::commands) needs: Vec<&'a Value>,
    /// What waits for it.
    pub(in crate::commands) needed_by: Vec<&'a Value>,
}

impl<'a> Around<'a> {
    pub(in crate::commands) fn of(graph: &'a Value, story: &str) -> Self {
        let epics = array(&graph["epics"]);
        let is_it = |other: &Value| other["id"] == story;
        let ends = |near: &str, far: &str| {
            let edges = array(&graph["story_dependencies"]).iter().filter(|edge| edge[near] == story);
            let ids: Vec<&Value> = edges.map(|edge| &edge[far]).collect();
            let stories = epics.iter().flat_map(stories_of);
            stories.filter(|other| ids.contains(&&other["id"])).collect()
        };
        Self {
            epic: epics.iter().find(|epic| stories_of(epic).iter().any(is_it)),
            needs: ends("from", "to"),
            needed_by: ends("to", "from"),
        }
    }
}

/// What each node needs, by the node's id.
fn needs<'a>(
    edges: &'a Value,
    nodes: &[&Value],
    verified: impl Fn(&Value) -> bool,
) -> HashMap<&'a str, Vec<Need>> {
    let known: HashMap<&str, Need> = nodes
        .iter()
        .filter_map(|node| {
            let need = Need { number: one_line(&plain(&node["number"])), verified: verified(node) };
            Some((node["id"].as_str()?, need))
        })
        .collect();
    let mut needs: HashMap<&str, Vec<Need>> = HashMap::new();
    for edge in array(edges) {
        let target = edge["to"].as_str().and_then(|id| known.get(id));
        if let (Some(from), Some(need)) = (edge["from"].as_str(), target) {
            needs.entry(from).or_default().push(need.clone());
        }
    }
    needs
}

/// The numbers of all epics and stories by their ids.
pub(in crate::commands) fn numbers(graph: &Value) -> HashMap<&str, &Value> {
    let epics = array(&graph["epics"]);
    let nodes = epics.iter().chain(epics.iter().flat_map(stories_of));
    nodes.filter_map(|node| Some((node["id"].as_str()?, &node["number"]))).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn stories_of(epic: &Value) -> &[Value] {
    array(&epic["stories"])
}

fn is_verified(story: &Value) -> bool {
    story["verified_status"] == "verified"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(id: &str, number: &str, agent: &str, verified: &str) -> Value {
        json!({"id": id, "number": number, "title": format!("Story {number}"), "agent_status": agent,
               "verified_status": verified, "sort_key": 0})
    }

    #[test]
    fn the_picture_shows_what_waits_for_what() {
        let graph = json!({
            "epics": [
                {"id": "e1", "number": 1, "title": "Base", "stories": [
                    story("a", "1.1", "reported_done", "verified"), story("b", "1.2", "implementing", "unverified")]},
                {"id": "e2", "number": 2, "title": "More\u{1b}[2J", "stories": [
                    story("c", "2.10", "pending", "unverified"), story("d", "2.11", "pending", "rejected")]},
                {"id": "e3", "number": 3, "title": "Nothing yet", "stories": []}],
            "epic_dependencies": [{"from": "e2", "to": "e1"}, {"from": "e2", "to": "e3"}],
            "story_dependencies": [{"from": "c", "to": "a"}, {"from": "c", "to": "b"}, {"from": "b", "to": "a"}]});
        let expected = "\
Epic 1  Base  (1 of 2 verified)
  1.1   Story 1.1   verified
  1.2   Story 1.2   implementing  <- 1.1 [x]
Epic 2  More\\x1b[2J  (0 of 2 verified)  <- epic 1, epic 3 [x]
  2.10  Story 2.10  pending       <- 1.1 [x], 1.2
  2.11  Story 2.11  rejected
Epic 3  Nothing yet  (0 of 0 verified)

<- needs what follows; [x] is verified";
        let graph = Graph::new(&graph);
        assert_eq!(graph.picture(&Screen::of(80)), expected);
        assert_eq!(graph.rows()[2]["waits_for"], "1.1, 1.2");
    }

    #[test]
    fn a_project_without_epics_says_so() {
        let graph = json!({"epics": [], "epic_dependencies": [], "story_dependencies": []});
        assert_eq!(Graph::new(&graph).picture(&Screen::of(80)), "The project has no epics.");
    }
}
