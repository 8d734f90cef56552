use proptest::prelude::*;

use super::*;

/// Epics numbered from 1; stories as (number, epic number).
fn graph(epics: i32, stories: &[(&str, usize)], edges: &[Edge]) -> Graph {
    let mut graph = Graph::default();
    for number in 1..=epics {
        graph.add_epic(number);
    }
    for (number, epic) in stories {
        graph.add_story(number, epic - 1);
    }
    for edge in edges {
        graph.add_edge(*edge);
    }
    graph
}

fn message(graph: &Graph) -> String {
    graph.explain(&graph.check().unwrap_err())
}

#[test]
fn story_cycles_name_the_stories() {
    let stories = [("1.1", 1), ("1.2", 1), ("1.3", 2)];
    let cycle = graph(2, &stories, &[Edge::Story(1, 2), Edge::Story(2, 0), Edge::Story(0, 1)]);
    assert_eq!(cycle.check(), Err(Fault::StoryCycle(vec![0, 1, 2, 0])));
    assert_eq!(message(&cycle), "Cycle detected: 1.1 -> 1.2 -> 1.3 -> 1.1");
    assert_eq!(message(&graph(1, &stories[..1], &[Edge::Story(0, 0)])), "Cycle detected: 1.1 -> 1.1");
}

#[test]
fn epic_cycles_name_the_epics_even_when_the_epics_have_stories() {
    let stories = [("1.1", 1), ("2.1", 2), ("3.1", 3)];
    let cycle = graph(3, &stories, &[Edge::Epic(2, 1), Edge::Epic(1, 2)]);
    assert_eq!(message(&cycle), "Cycle detected: 2 -> 3 -> 2");
    assert_eq!(message(&graph(1, &[], &[Edge::Epic(0, 0)])), "Cycle detected: 1 -> 1");
}

#[test]
fn direct_deadlocks_are_found_in_either_order() {
    let stories = [("1.1", 1), ("2.1", 2)];
    let expected = "Cross-level deadlock: epic 1 depends on epic 2, but story 2.1 (in epic 2) depends on story 1.1 (in epic 1)";
    let story_first = graph(2, &stories, &[Edge::Story(1, 0)]);
    let fault = story_first.would_break(Edge::Epic(0, 1)).unwrap_err();
    assert_eq!(story_first.explain(&fault), expected);
    let epic_first = graph(2, &stories, &[Edge::Epic(0, 1)]);
    let fault = epic_first.would_break(Edge::Story(1, 0)).unwrap_err();
    assert_eq!(epic_first.explain(&fault), expected);
}

#[test]
fn deadlocks_through_an_intermediate_story_or_epic_are_found() {
    let stories = [("1.1", 1), ("2.1", 2), ("3.1", 3)];
    let through_a_story = graph(3, &stories, &[Edge::Story(1, 2), Edge::Story(2, 0)]);
    let fault = through_a_story.would_break(Edge::Epic(0, 1)).unwrap_err();
    assert_eq!(
        through_a_story.explain(&fault),
        "Cross-level deadlock: epic 1 depends on epic 2, but story 2.1 (in epic 2) depends on story 3.1 (in epic 3), \
         story 3.1 (in epic 3) depends on story 1.1 (in epic 1)"
    );
    // Also when the epic in the middle has no stories.
    for stories in [&stories[..], &[stories[0], stories[2]]] {
        let last = stories.len() - 1;
        let through_an_epic = graph(3, stories, &[Edge::Epic(0, 1), Edge::Epic(1, 2)]);
        let fault = through_an_epic.would_break(Edge::Story(last, 0)).unwrap_err();
        assert_eq!(
            through_an_epic.explain(&fault),
            "Cross-level deadlock: epic 1 depends on epic 2, epic 2 depends on epic 3, \
             but story 3.1 (in epic 3) depends on story 1.1 (in epic 1)"
        );
    }
}

#[test]
fn a_deadlock_may_change_levels_more_than_once() {
    let stories = [("1.1", 1), ("2.1", 2), ("3.1", 3), ("4.1", 4)];
    let edges = [Edge::Epic(0, 1), Edge::Story(1, 2), Edge::Epic(2, 3), Edge::Story(3, 0)];
    assert_eq!(
        message(&graph(4, &stories, &edges)),
        "Cross-level deadlock: epic 1 depends on epic 2, but story 2.1 (in epic 2) depends on story 3.1 (in epic 3), \
         and epic 3 depends on epic 4, but story 4.1 (in epic 4) depends on story 1.1 (in epic 1)"
    );
}

#[test]
fn sound_graphs_stay_sound() {
    let stories = [("1.1", 1), ("1.2", 1), ("2.1", 2)];
    let sound = graph(2, &stories, &[Edge::Epic(1, 0), Edge::Story(1, 0), Edge::Story(2, 1)]);
    assert_eq!(sound.check(), Ok(()));
    assert_eq!(sound.would_break(Edge::Story(2, 0)), Ok(()));
    assert_eq!(sound.would_break(Edge::Epic(1, 0)), Ok(()), "an edge that exists already");
    assert_eq!(sound.would_break(Edge::Story(0, 1)), Err(Fault::StoryCycle(vec![0, 1, 0])));
    assert_eq!(Graph::default().check(), Ok(()));
}

#[test]
fn the_largest_import_is_checked_quickly_and_without_recursion() {
    let (epics, stories) = (500_usize, 5000_usize);
    let mut graph = Graph::default();
    for number in 1..=500 {
        graph.add_epic(number);
    }
    for index in 0..stories {
        graph.add_story(&format!("1.{index}"), index * epics / stories);
    }
    for index in 1..stories {
        for distance in [1, 2, 3, 5, 8, 13] {
            if distance <= index {
                graph.add_edge(Edge::Story(index, index - distance));
            }
        }
    }
    for index in 1..epics {
        for prerequisite in index.saturating_sub(40)..index {
            graph.add_edge(Edge::Epic(index, prerequisite));
        }
    }
    // Anything quadratic takes minutes.
    assert_eq!(graph.check(), Ok(()));
    assert!(matches!(graph.would_break(Edge::Story(0, stories - 1)), Err(Fault::StoryCycle(_))));
    assert!(matches!(graph.would_break(Edge::Epic(0, epics - 1)), Err(Fault::EpicCycle(_))));
}

/// A small random project: number of epics, the epic of each story, edges.
#[derive(Debug, Clone)]
struct Project {
    epics: usize,
    stories: Vec<usize>,
    edges: Vec<Edge>,
}

impl Project {
    fn graph(&self, edges: &[Edge]) -> Graph {
        let mut graph = Graph::default();
        for number in 0..self.epics {
            graph.add_epic(i32::try_from(number).unwrap());
        }
        for (index, epic) in self.stories.iter().enumerate() {
            graph.add_story(&index.to_string(), *epic);
        }
        edges.iter().for_each(|edge| graph.add_edge(*edge));
        graph
    }

    /// What kind of fault there is by the rule taken literally: no done nodes, every gate waits for every story of a
    /// prerequisite epic, transitive closure.
    fn naive_fault(&self, edges: &[Edge]) -> Option<&'static str> {
        let gate = |epic: usize| self.stories.len() + epic;
        let mut story_level = vec![vec![false; self.stories.len()]; self.stories.len()];
        let mut epic_level = vec![vec![false; self.epics]; self.epics];
        let size = self.stories.len() + self.epics;
        let mut both = vec![vec![false; size]; size];
        for (story, epic) in self.stories.iter().enumerate() {
            both[story][gate(*epic)] = true;
        }
        for edge in edges {
            match *edge {
                Edge::Story(from, to) => {
                    story_level[from][to] = true;
                    both[from][to] = true;
                }
                Edge::Epic(from, to) => {
                    epic_level[from][to] = true;
                    both[gate(from)][gate(to)] = true;
                    for (story, epic) in self.stories.iter().enumerate() {
                        both[gate(from)][story] |= *epic == to;
                    }
                }
            }
        }
        [("story", story_level), ("epic", epic_level), ("deadlock", both)]
            .into_iter()
            .find_map(|(kind, reaches)| has_cycle(reaches).then_some(kind))
    }
}

fn has_cycle(mut reaches: Vec<Vec<bool>>) -> bool {
    let size = reaches.len();
    for middle in 0..size {
        for from in 0..size {
            for to in 0..size {
                reaches[from][to] |= reaches[from][middle] && reaches[middle][to];
            }
        }
    }
    (0..size).any(|node| reaches[node][node])
}

fn kind(result: &Result<(), Fault>) -> Option<&'static str> {
    match result {
        Ok(()) => None,
        Err(Fault::StoryCycle(_)) => Some("story"),
        Err(Fault::EpicCycle(_)) => Some("epic"),
        Err(Fault::Deadlock(_)) => Some("deadlock"),
    }
}

/// Whether the fault is a closed path along edges that exist.
fn is_proof(project: &Project, edges: &[Edge], fault: &Fault) -> bool {
    let exists = |edge: Edge| edges.contains(&edge);
    match fault {
        Fault::StoryCycle(path) => {
            path.first() == path.last() && path.windows(2).all(|step| exists(Edge::Story(step[0], step[1])))
        }
        Fault::EpicCycle(path) => {
            path.first() == path.last() && path.windows(2).all(|step| exists(Edge::Epic(step[0], step[1])))
        }
        Fault::Deadlock(path) => (0..path.len()).all(|index| {
            let next = path[(index + 1) % path.len()];
            exists(path[index])
                && match (path[index], next) {
                    (Edge::Story(_, at), Edge::Story(from, _)) => at == from,
                    (Edge::Story(_, at), Edge::Epic(from, _)) => project.stories[at] == from,
                    (Edge::Epic(_, at), Edge::Story(from, _)) => at == project.stories[from],
                    (Edge::Epic(_, at), Edge::Epic(from, _)) => at == from,
                }
        }),
    }
}

fn project() -> impl Strategy<Value = Project> {
    (1_usize..5, 1_usize..8).prop_flat_map(|(epics, stories)| {
        let edge = prop_oneof![
            2 => (0..stories, 0..stories).prop_map(|(from, to)| Edge::Story(from, to)),
            1 => (0..epics, 0..epics).prop_map(|(from, to)| Edge::Epic(from, to)),
        ];
        (Just(epics), prop::collection::vec(0..epics, stories), prop::collection::vec(edge, 0..10))
            .prop_map(|(epics, stories, edges)| Project { epics, stories, edges })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn check_agrees_with_the_rule_taken_literally(project in project()) {
        let graph = project.graph(&project.edges);
        let result = graph.check();
        prop_assert_eq!(kind(&result), project.naive_fault(&project.edges));
        prop_assert_eq!(&result, &graph.check());
        if let Err(fault) = result {
            prop_assert!(is_proof(&project, &project.edges, &fault), "{:?}", fault);
            let message = graph.explain(&fault);
            prop_assert!(message.starts_with("Cycle detected: ") || message.starts_with("Cross-level deadlock: epic "));
        }
    }

    #[test]
    fn would_break_agrees_with_check_on_the_extended_graph(project in project()) {
        let mut accepted = Vec::new();
        for edge in &project.edges {
            let answer = project.graph(&accepted).would_break(*edge);
            accepted.push(*edge);
            prop_assert_eq!(kind(&answer), kind(&project.graph(&accepted).check()));
            if let Err(fault) = answer {
                prop_assert!(is_proof(&project, &accepted, &fault), "{:?}", fault);
                accepted.pop();
            }
        }
    }
}
