//! The page on which people sign in.

use askama::Template;
use axum::extract::State;

use crate::app::{App, MaybePerson};
use crate::http::{ApiResult, origin_of};
use crate::web::Visit;

#[derive(Template)]
#[template(path = "identity/sessions/page.html")]
pub(super) struct SignInPage {
    /// Where authenticators sign, and nowhere else.
    origin: String,
}

pub(super) async fn page(
    State(app): State<App>,
    MaybePerson(person): MaybePerson,
) -> ApiResult<Visit<SignInPage>> {
    if person.is_some() {
        return Ok(Visit::Elsewhere("/account"));
    }
    Ok(Visit::Page(SignInPage { origin: origin_of(&app.public_url)? }))
}
