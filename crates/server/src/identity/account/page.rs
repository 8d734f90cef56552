//! The page of whoever has signed in.

use askama::Template;
use uuid::Uuid;

use crate::app::MaybePerson;
use crate::db::{Row, statements};
use crate::http::ApiResult;
use crate::identity::authenticators::MOST;
use crate::web::Visit;

statements! {
    ACCOUNT_TENANT -> AccountTenant = "select {*} from tenants where id = $1";
    ACCOUNT_AUTHENTICATORS -> Enrolled = "
        select {*} from tenant_root_authenticators where tenant_id = $1 order by inserted_at, id";
}

/// What is shown of the tenant.
#[derive(Row)]
pub(crate) struct AccountTenant {
    name: String,
    slug: String,
}

/// What is shown of an authenticator.
#[derive(Row)]
pub(crate) struct Enrolled {
    id: Uuid,
    friendly_name: String,
    attestation_format: String,
    #[row(sql = "to_char(inserted_at at time zone 'UTC', 'YYYY-MM-DD')")]
    enrolled_on: String,
    #[row(sql = "to_char(last_used_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"')")]
    last_used: Option<String>,
}

#[derive(Template)]
#[template(path = "identity/account/page.html")]
pub(super) struct AccountPage {
    tenant_id: Uuid,
    tenant: AccountTenant,
    /// The name of the authenticator that the session began with.
    by: String,
    authenticators: Vec<Enrolled>,
    most: usize,
}

pub(super) async fn page(MaybePerson(person): MaybePerson) -> ApiResult<Visit<AccountPage>> {
    let Some(person) = person else { return Ok(Visit::Elsewhere("/sign-in")) };
    let batch = (ACCOUNT_TENANT.with(&[]), ACCOUNT_AUTHENTICATORS.with(&[]));
    let (tenant, authenticators) = person.read(batch).await?;
    // Whoever is gone has nothing to see here.
    let Some(tenant) = tenant.into_iter().next() else { return Ok(Visit::Elsewhere("/sign-in")) };
    Ok(Visit::Page(AccountPage {
        tenant_id: person.tenant_id,
        tenant,
        by: person.key_name.clone(),
        authenticators,
        most: MOST,
    }))
}
