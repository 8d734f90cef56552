//! Requests, answers and handlers of signing in and out.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use loopctl_core::attempts::{SIGN_IN_CHALLENGES, SIGN_INS};
use loopctl_core::request::{Request, text};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::store::{
    AUTHENTICATORS_OF, END_OLD_SESSIONS, END_SESSION, Home, INSERT_SESSION, TENANT_OF_AUTHENTICATOR,
};
use crate::app::{App, Person, hash_key, new_session_token, session_cookie};
use crate::db::{Timestamp, Tx};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, NoContent, Nothing, Operation, Output, headers};
use crate::identity::attempts::count;
use crate::identity::authenticators::{
    ProofChallengeResponse, Sent, ask_for_sign_in, assertion, by_touch, failed, verify_sign_in,
};
use crate::identity::tenants::{SHOW_TENANT, Tenant};
use crate::identity::visitor::Visitor;

/// How long a session lasts.
const SECONDS: u16 = 12 * 60 * 60;

/// `POST /sign-in/challenge`.
#[derive(Debug, Request)]
pub(super) struct SignInChallengeRequest {
    /// Of the tenant, for authenticators that do not know whom they belong to.
    #[rule(text(64).trimmed())]
    slug: Option<String>,
}

pub(super) async fn challenge(
    Visitor { app, party, address }: Visitor,
    body: Body<SignInChallengeRequest>,
) -> ApiResult<Json<ProofChallengeResponse>> {
    count(&app.db, SIGN_IN_CHALLENGES, address).await?;
    let slug = body.valid()?.slug.as_deref().unwrap_or_default().to_lowercase();
    app.db
        .transaction(Uuid::nil(), async |mut tx: Tx| {
            let credential_ids = tx.all(AUTHENTICATORS_OF, &[&slug]).await?;
            let data = ask_for_sign_in(&mut tx, &party, &credential_ids).await?;
            tx.commit(&()).await?;
            Ok(Json(ProofChallengeResponse { data }))
        })
        .await
}

/// `POST /sign-in`.
#[derive(Debug, Request)]
pub(super) struct SignIn {
    #[rule(assertion())]
    webauthn_assertion: Sent,
}

/// Who has signed in, until when, and where to go.
#[derive(Serialize, JsonSchema)]
pub(super) struct SignedIn {
    data: NewSession,
}

#[derive(Serialize, JsonSchema)]
struct NewSession {
    tenant: Tenant,
    expires_at: Timestamp,
    redirect_to: &'static str,
}

/// An answer with the cookie of a session, which begins or ends with it.
pub(super) struct WithCookie<T> {
    cookie: HeaderValue,
    body: T,
}

impl<T: Serialize> IntoResponse for WithCookie<T> {
    fn into_response(self) -> Response {
        let no_store = HeaderValue::from_static("no-store");
        ([(header::SET_COOKIE, self.cookie), (header::CACHE_CONTROL, no_store)], Json(self.body))
            .into_response()
    }
}

impl<T: JsonSchema> Output for WithCookie<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<T>(200, "Done; the cookie of the session comes with it");
        operation.answer_with(200, &headers::SET_COOKIE);
        operation.answer_with(200, &headers::CACHE_CONTROL);
    }
}

pub(super) async fn sign_in(
    Visitor { app, address, .. }: Visitor,
    body: Body<SignIn>,
) -> ApiResult<WithCookie<SignedIn>> {
    count(&app.db, SIGN_INS, address).await?;
    let sent = &body.valid()?.webauthn_assertion;
    let credential_id = sent.credential_id(&app.public_url)?;
    let home = app.db.without_tenant(TENANT_OF_AUTHENTICATOR, &[&credential_id]).await?;
    let home = home.ok_or_else(|| failed(&app.public_url, "its authenticator is enrolled nowhere"))?;
    let token = new_session_token();
    let work = async |tx: Tx| begin(&app, tx, &home, sent, &token).await;
    let data = app.db.transaction(home.tenant_id, work).await?;
    let cookie = session_cookie(&app.public_url, &token, SECONDS.into())?;
    Ok(WithCookie { cookie, body: SignedIn { data } })
}

/// Whether a tenant is suspended is told to those alone who have shown that they belong to it.
async fn begin(app: &App, mut tx: Tx, home: &Home, sent: &Sent, token: &str) -> ApiResult<NewSession> {
    let authenticator_id = verify_sign_in(&mut tx, &app.public_url, sent).await?;
    if home.tenant_status != "active" {
        return Err(ApiError::tenant_not_active());
    }
    let id = Uuid::now_v7();
    let params = [&id as _, &authenticator_id as _, &hash_key(token) as _, &f64::from(SECONDS) as _];
    let expires_at = tx.one(INSERT_SESSION, &params).await?;
    tx.execute(END_OLD_SESSIONS, &[&authenticator_id]).await?;
    let tenant = tx.one(SHOW_TENANT, &[]).await?;
    let told = json!({"authenticator_id": authenticator_id, "expires_at": expires_at});
    let event = Event::new("session", id, "signed_in", told);
    app.record(tx, home.tenant_id, &by_touch(), vec![event]).await?;
    Ok(NewSession { tenant, expires_at, redirect_to: "/account" })
}

/// Nothing more to show.
#[derive(Serialize, JsonSchema)]
pub(super) struct SignedOut {
    data: Elsewhere,
}

#[derive(Serialize, JsonSchema)]
struct Elsewhere {
    redirect_to: &'static str,
}

pub(super) async fn sign_out(person: Person, _: Body<Nothing>) -> ApiResult<WithCookie<SignedOut>> {
    let cookie = session_cookie(&person.app.public_url, "", 0)?;
    let id = person.key_id;
    person
        .change(async |mut change| {
            if change.optional(END_SESSION, &[&id]).await?.is_none() {
                return change.unchanged(NoContent).await;
            }
            change.tell([Event::new("session", id, "signed_out", json!({}))]);
            change.commit(NoContent).await
        })
        .await?;
    Ok(WithCookie { cookie, body: SignedOut { data: Elsewhere { redirect_to: "/sign-in" } } })
}
