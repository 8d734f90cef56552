//! Names under which something is explained wherever loopctl runs. Where there is no article of that name, a document explains it.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::{ApiError, ApiResult, Name, Operation, Output};

/// The names that this server itself tells, and where to read.
const EXPLAINED: [(&str, &str); 5] = [
    ("agent-bootstrap", "/docs/agents"),
    ("agent-pattern", "/docs/concepts"),
    ("capability-tokens", "/docs/security-model#what-is-not-guaranteed"),
    ("chain-of-custody", "/docs/security-model"),
    ("tenant-signup", "/docs/security-model#who-owns-a-tenant"),
];

/// Where it is explained.
pub(super) struct There(&'static str);

impl IntoResponse for There {
    fn into_response(self) -> Response {
        (StatusCode::FOUND, [(header::LOCATION, self.0)]).into_response()
    }
}

impl Output for There {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer_empty(302, "It is explained there");
    }
}

pub(super) async fn show(Name(slug): Name) -> ApiResult<There> {
    let found = EXPLAINED.iter().find(|(name, _)| *name == slug);
    found.map(|(_, there)| There(there)).ok_or_else(ApiError::not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_explained_is_there() {
        for (name, there) in EXPLAINED {
            let (path, anchor) =
                there.split_once('#').map_or((there, None), |(path, anchor)| (path, Some(anchor)));
            let page =
                loopctl_docs::page(path.strip_prefix("/docs/").unwrap()).unwrap_or_else(|| panic!("{name}"));
            if let Some(anchor) = anchor {
                assert!(page.contents.iter().any(|heading| heading.id == anchor), "{there}");
            }
        }
    }
}
