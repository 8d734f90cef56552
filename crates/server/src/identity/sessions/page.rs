//! The page on which people sign in.

use askama::Template;

use crate::app::MaybePerson;
use crate::web::Visit;

#[derive(Template)]
#[template(path = "identity/sessions/page.html")]
pub(super) struct SignInPage;

pub(super) async fn page(MaybePerson(person): MaybePerson) -> Visit<SignInPage> {
    if person.is_some() { Visit::Elsewhere("/account") } else { Visit::Page(SignInPage) }
}
