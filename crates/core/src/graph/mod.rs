//! Cycles and cross-level deadlocks in the dependency graph of one project.
//!
//! A story waits for its own prerequisites and for everything its epic waits for; an epic waits for every story
//! of its prerequisite epics. So a circle may run through both levels without being one on either. To find it,
//! the two levels are expanded into one graph: per story a node, per epic a *gate* (what must hold before a story
//! of the epic may start) and a *done* node (all its stories verified):
//!
//! - story -> prerequisite story, story -> gate of its epic;
//! - gate(E) -> done(P) for every epic edge E -> P;
//! - done(P) -> every story of P, and done(P) -> gate(P), so that a chain through an empty epic counts.
//!
//! The done node stands between gate(E) and the stories of P to keep the number of edges linear.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt::Write as _;

/// A dependency, as (dependent, prerequisite): the prerequisite must be verified first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Between two stories, by their index.
    Story(usize, usize),
    /// Between two epics, by their index.
    Epic(usize, usize),
}

/// Why a graph can never be worked off. A path is closed: its last element repeats the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Stories that wait for each other.
    StoryCycle(Vec<usize>),
    /// Epics that wait for each other.
    EpicCycle(Vec<usize>),
    /// A circle through both levels: its edges in order, starting with an epic edge.
    Deadlock(Vec<Edge>),
}

/// The epics, stories and dependencies of one project. Epics and stories get dense indices in the order in which
/// they are added; the other methods expect indices that were handed out.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    epics: Vec<i32>,
    stories: Vec<Story>,
    epic_edges: Adjacency,
    story_edges: Adjacency,
}

/// Per node its prerequisites.
type Adjacency = Vec<Vec<usize>>;

#[derive(Debug, Clone)]
struct Story {
    number: String,
    epic: usize,
}

impl Graph {
    /// Adds an epic and returns its index.
    pub fn add_epic(&mut self, number: i32) -> usize {
        self.epics.push(number);
        self.epic_edges.push(Vec::new());
        self.epics.len() - 1
    }

    /// Adds a story of the epic with index `epic` and returns the story's index.
    pub fn add_story(&mut self, number: &str, epic: usize) -> usize {
        self.stories.push(Story { number: number.to_owned(), epic });
        self.story_edges.push(Vec::new());
        self.stories.len() - 1
    }

    /// Adds a dependency without checking it.
    pub fn add_edge(&mut self, edge: Edge) {
        match edge {
            Edge::Story(dependent, prerequisite) => self.story_edges[dependent].push(prerequisite),
            Edge::Epic(dependent, prerequisite) => self.epic_edges[dependent].push(prerequisite),
        }
    }

    /// Checks the whole graph. Linear in epics, stories and edges.
    ///
    /// # Errors
    /// A cycle among stories, else one among epics, else a cross-level deadlock.
    pub fn check(&self) -> Result<(), Fault> {
        let fault = find_cycle(&self.story_edges)
            .map(Fault::StoryCycle)
            .or_else(|| find_cycle(&self.epic_edges).map(Fault::EpicCycle))
            .or_else(|| find_cycle(&self.expanded()).map(|cycle| self.deadlock(&cycle)));
        fault.map_or(Ok(()), Err)
    }

    /// Checks what one more edge would do to a graph that is sound without it.
    ///
    /// # Errors
    /// A cycle on the edge's own level, else a cross-level deadlock.
    pub fn would_break(&self, edge: Edge) -> Result<(), Fault> {
        let mut grown = self.clone();
        grown.add_edge(edge);
        // The graph was sound, so every circle runs through the new edge, hence through its dependent.
        let (start, own_level) = match edge {
            Edge::Story(dependent, _) => {
                (dependent, cycle_through(&grown.story_edges, dependent).map(Fault::StoryCycle))
            }
            Edge::Epic(dependent, _) => {
                (grown.gate(dependent), cycle_through(&grown.epic_edges, dependent).map(Fault::EpicCycle))
            }
        };
        let fault =
            own_level.or_else(|| cycle_through(&grown.expanded(), start).map(|cycle| grown.deadlock(&cycle)));
        fault.map_or(Ok(()), Err)
    }

    /// The message for a fault found in this graph, with epic and story numbers.
    pub fn explain(&self, fault: &Fault) -> String {
        match fault {
            Fault::StoryCycle(path) => {
                cycle_message(path.iter().map(|story| self.stories[*story].number.clone()))
            }
            Fault::EpicCycle(path) => cycle_message(path.iter().map(|epic| self.epics[*epic].to_string())),
            Fault::Deadlock(edges) => {
                let mut message = "Cross-level deadlock: ".to_owned();
                let mut previous = None;
                for edge in edges {
                    message.push_str(match (previous, edge) {
                        (None, _) => "",
                        (Some(Edge::Epic(..)), Edge::Story(..)) => ", but ",
                        (Some(Edge::Story(..)), Edge::Epic(..)) => ", and ",
                        _ => ", ",
                    });
                    self.push_clause(&mut message, *edge);
                    previous = Some(*edge);
                }
                message
            }
        }
    }

    fn push_clause(&self, message: &mut String, edge: Edge) {
        // Writing to a String cannot fail.
        let _ = match edge {
            Edge::Epic(dependent, prerequisite) => {
                let (dependent, prerequisite) = (self.epics[dependent], self.epics[prerequisite]);
                write!(message, "epic {dependent} depends on epic {prerequisite}")
            }
            Edge::Story(dependent, prerequisite) => {
                let (dependent, prerequisite) = (&self.stories[dependent], &self.stories[prerequisite]);
                write!(
                    message,
                    "story {} (in epic {}) depends on story {} (in epic {})",
                    dependent.number,
                    self.epics[dependent.epic],
                    prerequisite.number,
                    self.epics[prerequisite.epic]
                )
            }
        };
    }

    fn gate(&self, epic: usize) -> usize {
        self.stories.len() + epic
    }

    fn done(&self, epic: usize) -> usize {
        self.stories.len() + self.epics.len() + epic
    }

    /// Both levels in one graph, see the module's documentation. Stories keep their index.
    fn expanded(&self) -> Adjacency {
        let mut nodes = self.story_edges.clone();
        nodes.resize(self.stories.len() + 2 * self.epics.len(), Vec::new());
        for (index, story) in self.stories.iter().enumerate() {
            nodes[index].push(self.gate(story.epic));
            nodes[self.done(story.epic)].push(index);
        }
        for (epic, prerequisites) in self.epic_edges.iter().enumerate() {
            nodes[self.gate(epic)].extend(prerequisites.iter().map(|prerequisite| self.done(*prerequisite)));
            nodes[self.done(epic)].push(self.gate(epic));
        }
        nodes
    }

    /// The dependency edges of a closed path through the expanded graph that uses both levels.
    fn deadlock(&self, cycle: &[usize]) -> Fault {
        let gates = self.stories.len()..self.stories.len() + self.epics.len();
        let mut edges: Vec<Edge> = cycle
            .windows(2)
            .filter_map(|step| match *step {
                [from, to] if from < gates.start && to < gates.start => Some(Edge::Story(from, to)),
                [from, to] if gates.contains(&from) && to >= gates.end => {
                    Some(Edge::Epic(from - gates.start, to - gates.end))
                }
                _ => None,
            })
            .collect();
        let is_epic = |edge: &Edge| matches!(edge, Edge::Epic(..));
        let start = (0..edges.len()).find(|index| {
            let before = (index + edges.len() - 1) % edges.len();
            is_epic(&edges[*index]) && !is_epic(&edges[before])
        });
        edges.rotate_left(start.unwrap_or(0));
        Fault::Deadlock(edges)
    }
}

fn cycle_message(numbers: impl Iterator<Item = String>) -> String {
    format!("Cycle detected: {}", numbers.collect::<Vec<_>>().join(" -> "))
}

/// A cycle, if there is one: depth-first search with its own stack, since chains may be thousands long.
fn find_cycle(nodes: &Adjacency) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnPath,
        Finished,
    }
    let mut states = vec![State::New; nodes.len()];
    for root in 0..nodes.len() {
        if states[root] != State::New {
            continue;
        }
        states[root] = State::OnPath;
        let mut path = vec![(root, nodes[root].iter())];
        while let Some((node, prerequisites)) = path.last_mut() {
            match prerequisites.next() {
                None => {
                    states[*node] = State::Finished;
                    path.pop();
                }
                Some(&next) => match states[next] {
                    State::New => {
                        states[next] = State::OnPath;
                        path.push((next, nodes[next].iter()));
                    }
                    State::OnPath => return cycle_through(nodes, next),
                    State::Finished => {}
                },
            }
        }
    }
    None
}

/// The shortest cycle through `start`, closed, turned so that it begins with its smallest index.
fn cycle_through(nodes: &Adjacency, start: usize) -> Option<Vec<usize>> {
    let mut came_from: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &next in &nodes[node] {
            if next == start {
                let mut cycle = vec![node];
                let mut at = node;
                while let Some(before) = came_from[at] {
                    cycle.push(before);
                    at = before;
                }
                cycle.reverse();
                let smallest = (0..cycle.len()).min_by_key(|index| cycle[*index]).unwrap_or(0);
                cycle.rotate_left(smallest);
                cycle.push(cycle[0]);
                return Some(cycle);
            }
            if came_from[next].is_none() {
                came_from[next] = Some(node);
                queue.push_back(next);
            }
        }
    }
    None
}
