//! What is to be built: projects, epics, stories, what waits for what, and whole plans at once.

pub(crate) mod dependencies;
pub(crate) mod epics;
pub(crate) mod exports;
pub(crate) mod imports;
pub(crate) mod projects;
pub(crate) mod stories;

use loopctl_core::fields::{BLANK, FieldErrors};

use crate::db::DbError;
use crate::http::ApiError;

/// What the insert of `what` (`Epic 1`) failed with: 422 when it violates the unique `constraint` on numbers.
pub(crate) fn number_taken(error: DbError, constraint: &str, what: &str) -> ApiError {
    if !error.violates(constraint) {
        return error.into();
    }
    let message = format!(
        "{what} already exists in this project. Pick a different number, or use the import endpoint with \
         `merge=true` to update the existing record."
    );
    ApiError::invalid_field("number", "has already been taken for this project").saying(message)
}

/// What is created needs a title, which may be left out of a change.
pub(crate) fn require_title(title: Option<&String>, errors: &mut FieldErrors) {
    if title.is_none() && !errors.0.contains_key("title") {
        errors.add("title", BLANK);
    }
}
