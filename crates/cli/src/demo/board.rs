//! Who works on what. Stands for whatever hands work to agents: loopctl itself does not, it only says which
//! stories are ready and lets one agent have each.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::team::{Team, text};
use crate::client::Client;
use crate::error::Error;

/// A story to be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) number: String,
    /// From 1; more after a rejection.
    pub(super) attempt: u32,
}

/// Shared by the tasks.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    /// Told whenever stories may have become ready.
    changed: watch::Sender<()>,
    total: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Being worked on, or verified.
    taken: HashSet<String>,
    rejections: HashMap<String, u32>,
    verified: usize,
}

impl Board {
    pub(super) fn new(total: usize) -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(()), total }
    }

    /// The next ready story that nobody works on; waits for one. None when all are verified.
    pub(super) async fn next(&self, team: &Team, agent: &Client) -> Result<Option<Task>, Error> {
        let mut changed = self.changed.subscribe();
        loop {
            // Before the question, so that a change after it is not missed.
            changed.borrow_and_update();
            if self.is_done() {
                return Ok(None);
            }
            let query = [("project_id", team.project.as_str()), ("limit", "500")];
            let ready = agent.get("/stories/ready", &query).await?;
            let stories = ready["data"].as_array().into_iter().flatten();
            let numbers = stories.map(|story| text(&story["number"])).collect::<Result<Vec<_>, _>>()?;
            if let Some(task) = self.take(&numbers) {
                return Ok(Some(task));
            }
            if changed.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    fn take(&self, ready: &[String]) -> Option<Task> {
        let mut state = self.state();
        let number = ready.iter().find(|number| !state.taken.contains(*number))?.clone();
        state.taken.insert(number.clone());
        let attempt = 1 + state.rejections.get(&number).copied().unwrap_or(0);
        Some(Task { number, attempt })
    }

    /// The story is verified; returns how many are.
    pub(super) fn verified(&self) -> usize {
        let verified = {
            let mut state = self.state();
            state.verified += 1;
            state.verified
        };
        self.changed.send_replace(());
        verified
    }

    /// The story is rejected and can be taken again.
    pub(super) fn rejected(&self, number: &str) {
        {
            let mut state = self.state();
            *state.rejections.entry(number.to_owned()).or_default() += 1;
            state.taken.remove(number);
        }
        self.changed.send_replace(());
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.state().verified == self.total
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_given_out_once_and_again_after_a_rejection() {
        let board = Board::new(2);
        let ready = ["1.1".to_owned(), "1.2".to_owned()];
        let task = |number: &str, attempt| {
            let number = number.to_owned();
            Some(Task { number, attempt })
        };
        assert_eq!(board.take(&ready), task("1.1", 1));
        assert_eq!(board.take(&ready), task("1.2", 1));
        assert_eq!(board.take(&ready), None);
        board.rejected("1.1");
        assert_eq!(board.take(&ready), task("1.1", 2));
        assert_eq!(board.verified(), 1);
        assert!(!board.is_done());
        assert_eq!(board.verified(), 2);
        assert!(board.is_done());
    }
}
