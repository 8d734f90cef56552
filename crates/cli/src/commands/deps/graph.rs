//! The dependency graph of a project as text.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::table::{aligned, one_line, plain};

/// What a table of the graph shows.
pub(super) const COLUMNS: &[&str] =
    &["epic", "number", "title", "agent_status", "verified_status", "waits_for"];

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
    pub(super) fn picture(&self) -> String {
        let stories = self.epics.iter().flat_map(|(_, stories)| stories);
        let cells = stories.map(|story| {
            let text = |key: &str| plain(&story.value[key]);
            vec![text("number"), text("title"), status(story.value), story.waits("")]
        });
        // All stories are one table, so that the columns of all epics stand below each other.
        let mut story_lines = aligned(&cells.collect::<Vec<_>>()).into_iter();
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
            lines.push(heading.trim_end().to_owned());
            lines.extend(story_lines.by_ref().take(stories.len()).map(|line| format!("  {line}")));
        }
        if lines.is_empty() { "The project has no epics.".to_owned() } else { lines.join("\n") }
    }
}

impl Node<'_> {
    /// `<- waits for 1.1, 1.2 (verified)`
    fn waits(&self, prefix: &str) -> String {
        if self.needs.is_empty() {
            return String::new();
        }
        let need = |need: &Need| {
            format!("{prefix}{}{}", need.number, if need.verified { " (verified)" } else { "" })
        };
        format!("<- waits for {}", self.needs.iter().map(need).collect::<Vec<_>>().join(", "))
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
pub(super) fn numbers(graph: &Value) -> HashMap<&str, &Value> {
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

/// The one word that says how far a story is.
fn status(story: &Value) -> String {
    let decided = &story["verified_status"];
    plain(if decided == "verified" || decided == "rejected" { decided } else { &story["agent_status"] })
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
  1.2   Story 1.2   implementing  <- waits for 1.1 (verified)
Epic 2  More\\x1b[2J  (0 of 2 verified)  <- waits for epic 1, epic 3 (verified)
  2.10  Story 2.10  pending       <- waits for 1.1 (verified), 1.2
  2.11  Story 2.11  rejected
Epic 3  Nothing yet  (0 of 0 verified)";
        let graph = Graph::new(&graph);
        assert_eq!(graph.picture(), expected);
        assert_eq!(graph.rows()[2]["waits_for"], "1.1, 1.2");
    }

    #[test]
    fn a_project_without_epics_says_so() {
        let graph = json!({"epics": [], "epic_dependencies": [], "story_dependencies": []});
        assert_eq!(Graph::new(&graph).picture(), "The project has no epics.");
    }
}
