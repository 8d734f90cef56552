//! What is asked for.

use loopctl_core::fields::parse_uuid;
use loopctl_core::knowledge::Category;

use super::shelf::Wanted;
use crate::http::{ApiError, ApiResult};
use crate::knowledge::articles::known_word;

/// The most characters of a question.
const MOST: usize = 500;

/// A question as it is asked: without white space around it.
///
/// # Errors
/// 400 when there is none, or it is too long.
pub(super) fn question(name: &str, sent: Option<&str>) -> ApiResult<String> {
    let text = sent.unwrap_or_default().trim();
    if text.is_empty() {
        return Err(ApiError::bad_request(format!(
            "Query parameter '{name}' is required and cannot be empty"
        )));
    }
    if text.chars().count() > MOST {
        return Err(ApiError::bad_request(format!(
            "Query parameter '{name}' exceeds maximum length of {MOST} characters"
        )));
    }
    if text.contains('\0') {
        return Err(ApiError::bad_request(format!("Query parameter '{name}' contains a NUL character")));
    }
    Ok(text.to_owned())
}

/// Which articles are looked for.
///
/// # Errors
/// 400 for what is no id or no category.
pub(super) fn wanted(
    project_id: Option<&str>,
    with_tenant_wide: bool,
    category: Option<&str>,
    tags: Option<&str>,
) -> ApiResult<Wanted> {
    let project_id = project_id.filter(|text| !text.trim().is_empty());
    let project_id = project_id
        .map(|text| parse_uuid(text).ok_or_else(|| ApiError::bad_request("project_id must be a UUID")))
        .transpose()?;
    let category = known_word("category", category.filter(|text| !text.is_empty()), Category::WORDS)?;
    let tags = tags.unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty());
    let mut tags: Vec<String> = tags.map(str::to_owned).collect();
    tags.sort_unstable();
    tags.dedup();
    Ok(Wanted {
        project_id,
        with_tenant_wide,
        with_system: false,
        category: category.map(str::to_owned),
        // Of nothing but commas none.
        tags: (!tags.is_empty()).then_some(tags),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_say_something_and_are_not_endless() {
        assert_eq!(question("q", Some("  why? ")).unwrap(), "why?");
        for sent in [None, Some(""), Some(" \n")] {
            assert!(format!("{:?}", question("q", sent).unwrap_err()).contains("required"));
        }
        assert!(question("q", Some(&"ä".repeat(500))).is_ok());
        let long = question("query", Some(&"ä".repeat(501))).unwrap_err();
        assert!(format!("{long:?}").contains("500"));
        assert!(question("q", Some("a\0b")).is_err());
    }

    #[test]
    fn tags_are_what_stands_between_commas() {
        let of = |tags| wanted(None, false, None, tags).unwrap().tags;
        assert_eq!(of(Some(" b, ,a,b,")), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!([of(None), of(Some(" ")), of(Some(",,"))], [const { None }; 3]);
    }
}
