//! Who has signed in, in a browser: the other way in than a key, for what a tenant's owner does on pages.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use loopctl_core::code::Code;
use loopctl_core::rate;
use loopctl_core::role::Role;
use serde_json::json;
use uuid::Uuid;

use super::access::{AtLeast, User};
use super::caller::{KeyHolder, TOO_OFTEN, pay, take_room};
use super::identity::{Identity, Shown};
use super::rates::Payer;
use super::{App, hash_key};
use crate::db::{Row, statements};
use crate::events::Attribution;
use crate::http::Session::{Needed, Taken};
use crate::http::{ApiError, ApiResult, FOREIGN, Input, Operation, origin_of, require_own_page};

statements! {
    FIND_SESSION -> Session = "select {*} from find_session($1)";
}

/// What `find_session()` answers.
#[derive(Row)]
pub(crate) struct Session {
    tenant_id: Uuid,
    session_id: Uuid,
    authenticator_id: Uuid,
    friendly_name: String,
    tenant_status: String,
    /// What the tenant has set, as JSON.
    rate_limit: Option<String>,
}

/// How what is done in a session is attributed, which began with a touch of this authenticator.
pub(super) fn attribution(session_id: Uuid, authenticator_id: Uuid) -> Attribution {
    let metadata = json!({"session_id": session_id, "authenticator_id": authenticator_id});
    Attribution {
        actor_type: "human",
        actor_id: None,
        actor_label: "human:webauthn".to_owned(),
        metadata: metadata.as_object().cloned().unwrap_or_default(),
    }
}

/// Somebody who has signed in: the tenant's user, for as long as the authenticator is one of the tenant's. In the place of a key's id
/// and name are the session's id and the authenticator's name.
#[derive(Debug)]
pub(crate) struct Person(Identity);

impl Deref for Person {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

impl FromRequestParts<App> for Person {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        find(parts, app).await?.ok_or_else(ApiError::not_signed_in)
    }
}

impl Input for Person {
    fn describe(operation: &mut Operation<'_>) {
        operation.session = Some(Needed);
        operation.refuse(401, Code::NotSignedIn, "nobody has signed in, or not for long enough");
        operation.refuse(403, Code::OriginMismatch, FOREIGN);
        operation.refuse(429, Code::RateLimited, TOO_OFTEN);
    }
}

/// Somebody who may have signed in, for pages that then show something else.
#[derive(Debug)]
pub(crate) struct MaybePerson(pub(crate) Option<Person>);

impl FromRequestParts<App> for MaybePerson {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        find(parts, app).await.map(Self)
    }
}

impl Input for MaybePerson {
    fn describe(operation: &mut Operation<'_>) {
        operation.session = Some(Taken);
        operation.refuse(429, Code::RateLimited, TOO_OFTEN);
    }
}

/// The tenant's owner: with a key of that role, or signed in.
#[derive(Debug)]
pub(crate) struct Owner(Identity);

impl Deref for Owner {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

impl FromRequestParts<App> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match OwnerOrSuperadmin::from_request_parts(parts, app).await? {
            OwnerOrSuperadmin::Person(Person(identity)) => Ok(Self(identity)),
            OwnerOrSuperadmin::Key(holder) => Ok(Self(holder.in_tenant()?.into_identity())),
        }
    }
}

impl Input for Owner {
    fn describe(operation: &mut Operation<'_>) {
        OwnerOrSuperadmin::describe(operation);
    }
}

/// As [`Owner`], or a superadmin who is inside no tenant: for what is asked in the name of the tenant in a path.
#[derive(Debug)]
pub(crate) enum OwnerOrSuperadmin {
    /// Somebody with a key.
    Key(KeyHolder<AtLeast<User>>),
    /// Somebody who has signed in.
    Person(Person),
}

impl OwnerOrSuperadmin {
    /// Who works on this tenant.
    ///
    /// # Errors
    /// 404 for another tenant than their own, unless it is a superadmin who asks; or when the database fails.
    pub(crate) async fn in_tenant_of_path(self, tenant_id: Uuid) -> ApiResult<Identity> {
        match self {
            Self::Key(holder) => holder.in_tenant_of_path(tenant_id).await,
            Self::Person(Person(identity)) if identity.tenant_id == tenant_id => Ok(identity),
            Self::Person(_) => Err(ApiError::not_found()),
        }
    }
}

impl FromRequestParts<App> for OwnerOrSuperadmin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        // Both at once is a key.
        if !parts.headers.contains_key(header::AUTHORIZATION)
            && let Some(person) = find(parts, app).await?
        {
            return Ok(Self::Person(person));
        }
        KeyHolder::from_request_parts(parts, app).await.map(Self::Key)
    }
}

impl Input for OwnerOrSuperadmin {
    fn describe(operation: &mut Operation<'_>) {
        KeyHolder::<AtLeast<User>>::describe(operation);
        operation.session = Some(Taken);
        operation.refuse(403, Code::OriginMismatch, FOREIGN);
    }
}

/// Who has signed in with the browser that calls: nobody, as long as the tenant is suspended. A session alone is not enough to change
/// something: it must be one of our own pages that asks for it.
async fn find(parts: &Parts, app: &App) -> ApiResult<Option<Person>> {
    let Some(token) = shown(&parts.headers, &app.public_url)? else { return Ok(None) };
    let session = app.db.without_tenant(FIND_SESSION, &[&hash_key(&token)]).await?;
    let Some(session) = session.filter(|session| session.tenant_status == "active") else { return Ok(None) };
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        require_own_page(&parts.headers, &app.public_url)?;
    }
    // Sessions of one authenticator are counted together, as one key.
    let payer = Payer {
        key_id: session.authenticator_id,
        tenant_id: session.tenant_id,
        limit: rate::limit(session.rate_limit.as_deref()),
    };
    pay(parts, app, payer).await?;
    let in_turn = take_room(parts, session.tenant_id, Some(&app.db)).await?;
    Ok(Some(Person(Identity { in_turn, ..Identity::signed_in(app.clone(), session) })))
}

impl Identity {
    /// Somebody who has signed in, of which the request's log lines tell.
    fn signed_in(app: App, session: Session) -> Self {
        let span = tracing::Span::current();
        span.record("tenant_id", tracing::field::display(session.tenant_id));
        span.record("role", Role::User.as_str());
        Self {
            app,
            key_id: session.session_id,
            key_name: session.friendly_name,
            key_prefix: String::new(),
            role: Role::User,
            tenant_id: session.tenant_id,
            agent_id: None,
            impersonation: None,
            touched: Some(session.authenticator_id),
            shown: Shown::nothing(),
            ticket: None,
            in_turn: None,
        }
    }
}

/// The name of the cookie. A browser takes the one of a secure server from that very host alone; those of servers on one machine are
/// told apart by their ports, which browsers do not.
fn cookie_name(origin: &str) -> String {
    if origin.starts_with("https:") {
        return "__Host-loopctl".to_owned();
    }
    let port = origin.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.starts_with('/'));
    format!("loopctl-{}", port.unwrap_or("80"))
}

/// What a browser shows of a session.
fn shown(headers: &HeaderMap, public_url: &str) -> ApiResult<Option<String>> {
    if !headers.contains_key(header::COOKIE) {
        return Ok(None);
    }
    let name = cookie_name(&origin_of(public_url)?);
    // What other programs of this host keep is in there, too, and need not be text.
    let sent = headers.get_all(header::COOKIE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let cookies = sent.flat_map(|value| Cookie::split_parse(value.into_owned())).flatten();
    let values = cookies.filter(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned());
    // Of several, which one is ours cannot be told: another program of this host may have planted one.
    let mut values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
    values.dedup();
    Ok(values.pop().filter(|_| values.is_empty()))
}

/// What a browser is given to show from now on, or nothing any more: never to scripts, and never from the pages of others.
///
/// # Errors
/// 503 when the server's public URL is none that pages can have.
pub(crate) fn session_cookie(public_url: &str, token: &str, seconds: i64) -> ApiResult<HeaderValue> {
    let origin = origin_of(public_url)?;
    let cookie = Cookie::build((cookie_name(&origin), token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(origin.starts_with("https:"))
        .max_age(Duration::seconds(seconds));
    let mut value = HeaderValue::from_str(&cookie.build().to_string()).map_err(|_| ApiError::internal())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_for_our_own_pages_and_no_script() {
        for (url, expected) in [
            (
                "https://loop.example/",
                "__Host-loopctl=lcs_x; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=60",
            ),
            ("http://localhost:4000", "loopctl-4000=lcs_x; HttpOnly; SameSite=Strict; Path=/; Max-Age=60"),
            ("http://localhost", "loopctl-80=lcs_x; HttpOnly; SameSite=Strict; Path=/; Max-Age=60"),
        ] {
            let cookie = session_cookie(url, "lcs_x", 60).unwrap();
            assert_eq!(cookie.to_str().unwrap(), expected);
        }
    }

    #[test]
    fn a_browser_shows_the_session_of_this_server() {
        let home = "http://localhost:4000";
        for (sent, token) in [
            (&["a=b; loopctl-4000=lcs_x"][..], Some("lcs_x")),
            (&["a=b", "loopctl-4000=lcs_x; loopctl-4001=lcs_y"], Some("lcs_x")),
            (&["loopctl-4000=lcs_x; loopctl-4000=lcs_x"], Some("lcs_x")),
            (&["loopctl-4000=lcs_x; loopctl-4000="], Some("lcs_x")),
            (&["loopctl-4000=lcs_y; loopctl-4000=lcs_x"], None),
            (&["loopctl-4000=lcs_y", "loopctl-4000=lcs_x"], None),
            (&["loopctl-4001=lcs_y"], None),
            (&["loopctl-4000="], None),
            (&["__Host-loopctl=lcs_x"], None),
            (&["=;;=; loopctl-4000"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for cookie in sent {
                headers.append(header::COOKIE, HeaderValue::from_static(cookie));
            }
            assert_eq!(shown(&headers, home).unwrap().as_deref(), token, "{sent:?}");
        }
        let mut headers = HeaderMap::new();
        let beside = HeaderValue::from_bytes(b"name=\xc3\xa9; loopctl-4000=lcs_x; other=\xff").unwrap();
        headers.append(header::COOKIE, beside);
        assert_eq!(shown(&headers, home).unwrap().as_deref(), Some("lcs_x"));
    }
}
