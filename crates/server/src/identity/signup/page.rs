//! The page on which people sign up.

use askama::Template;
use axum::extract::State;

use crate::app::App;
use crate::http::{ApiResult, origin_of};
use crate::identity::authenticators::MOST;
use crate::web::Page;

/// Where signing up is explained.
pub(crate) const LEARN_MORE: &str = "/wiki/tenant-signup";

#[derive(Template)]
#[template(path = "identity/signup/page.html")]
pub(super) struct SignupPage {
    /// Where authenticators can be enrolled, and nowhere else.
    origin: String,
    most: usize,
}

pub(super) async fn page(State(app): State<App>) -> ApiResult<Page<SignupPage>> {
    Ok(Page(SignupPage { origin: origin_of(&app.public_url)?, most: MOST }))
}
