//! What is asked for on the page of whoever has signed in.

use loopctl_core::request::Request;

use crate::app::{Person, new_raw_key};
use crate::http::{ApiResult, Body, CreatedSecret};
use crate::identity::authenticators::{Sent, assertion, verify};
use crate::identity::keys::{ApiKeyResponse, NAME, add_for_owner};
use crate::identity::tenants::lock;

/// `POST /account/keys`.
#[derive(Debug, Request)]
pub(super) struct OwnerKeyCreateRequest {
    #[rule(NAME.required())]
    name: String,
    #[rule(assertion())]
    webauthn_assertion: Sent,
}

/// A session may be stolen with the browser that it is in; a key lives on. So it takes another touch.
pub(super) async fn create_key(
    person: Person,
    body: Body<OwnerKeyCreateRequest>,
) -> ApiResult<CreatedSecret<ApiKeyResponse>> {
    let raw_key = new_raw_key();
    person
        .change(async |mut change| {
            let new = body.valid()?;
            lock(&mut change).await?;
            let signed_by = verify(&mut change, &person.app.public_url, &new.webauthn_assertion).await?;
            let key = add_for_owner(&mut change, &new.name, &raw_key, signed_by).await?;
            change.commit(CreatedSecret(key)).await
        })
        .await
}
