//! What the answer to a request will take, from what it took last time: whether there is room for a large one is asked before it is read,
//! and not when it is there.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use axum::http::Uri;
use uuid::Uuid;

/// What is not worth remembering, in bytes.
const SMALL: usize = 1024 * 1024;

/// What is.
pub(super) const LEAST_LARGE: usize = SMALL + 1;

/// How many are remembered; all are forgotten when there are more. Then it is seen when they are there.
const MOST: usize = 4096;

/// Who asks for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question(u64);

/// The size of the last answer to each question of which that was large.
#[derive(Debug, Default)]
pub(super) struct Expected {
    hashes: RandomState,
    sizes: Mutex<HashMap<Question, usize>>,
}

impl Expected {
    pub(super) fn question(&self, of: Uuid, uri: &Uri) -> Question {
        Question(self.hashes.hash_one((of, uri.path(), uri.query())))
    }

    /// How many bytes the answer is likely to take; 0 for one that is small, or unknown.
    pub(super) fn size(&self, question: Question) -> usize {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.get(&question).copied().unwrap_or_default()
    }

    /// The answer takes so many bytes, or would have.
    pub(super) fn note(&self, question: Question, bytes: usize) {
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes <= SMALL {
            sizes.remove(&question);
            return;
        }
        if sizes.len() >= MOST && !sizes.contains_key(&question) {
            sizes.clear();
        }
        sizes.insert(question, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_large_is_expected_again_until_it_is_not() {
        let expected = Expected::default();
        let ask = |of: u128, path: &str| expected.question(Uuid::from_u128(of), &path.parse().unwrap());
        let large = ask(1, "/stories?limit=500");
        assert_eq!(expected.size(large), 0);
        expected.note(large, 5 * SMALL);
        assert_eq!(expected.size(ask(1, "/stories?limit=500")), 5 * SMALL);
        for other in [ask(2, "/stories?limit=500"), ask(1, "/stories?limit=20"), ask(1, "/stories")] {
            assert_eq!(expected.size(other), 0);
        }
        expected.note(large, SMALL);
        assert_eq!(expected.size(large), 0);
    }

    #[test]
    fn there_are_not_more_than_that() {
        let expected = Expected::default();
        for number in 0..=MOST as u128 {
            expected.note(expected.question(Uuid::from_u128(number), &Uri::from_static("/")), 2 * SMALL);
        }
        assert_eq!(expected.sizes.lock().unwrap().len(), 1);
    }
}
