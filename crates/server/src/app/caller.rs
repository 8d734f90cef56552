//! Who calls: authentication, impersonation and roles. The only place that decides; what a role may is in [`super::access`].

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{FromRef, FromRequestParts};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use chrono::Utc;
use loopctl_core::code::Code;
use loopctl_core::fields::parse_uuid;
use loopctl_core::rate::Reached;
use loopctl_core::request::Member;
use loopctl_core::role::Role;
use schemars::json_schema;
use uuid::Uuid;

use super::access::Access;
use super::admin::enter;
use super::identities::Found;
use super::identity::{Identity, Impersonation, Shown};
use super::rates::{Judged, Payer};
use super::ticket::Ticket;
use super::{App, hash_key};
use crate::db::Db;
use crate::http::{ApiError, ApiResult, Input, Noted, Operation, Stay};
use crate::metrics;

/// The tenant that a superadmin works on.
const IMPERSONATE_TENANT: &str = "X-Impersonate-Tenant";

/// As what a superadmin works there.
const EFFECTIVE_ROLE: &str = "X-Effective-Role";

/// The headers by which a caller says who they are, and for whom they work.
pub(crate) const SHOWN: [&str; 3] = ["Authorization", IMPERSONATE_TENANT, EFFECTIVE_ROLE];

/// A handler's caller, admitted by `A`: any role, at least a role, or exactly one of some roles.
#[derive(Debug, Clone)]
pub(crate) struct Caller<A> {
    identity: Identity,
    access: PhantomData<A>,
}

impl<A> Caller<A> {
    /// Who they are, admitted as they were.
    pub(super) fn into_identity(self) -> Identity {
        self.identity
    }
}

impl<A> Deref for Caller<A> {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl<S, A> FromRequestParts<S> for Caller<A>
where
    S: Send + Sync,
    App: FromRef<S>,
    A: Access,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        KeyHolder::from_request_parts(parts, state).await?.in_tenant()
    }
}

impl<A: Access> Input for Caller<A> {
    fn describe(operation: &mut Operation<'_>) {
        KeyHolder::<A>::describe(operation);
    }
}

/// Somebody with a valid key, admitted by `A`, whose tenant is not looked at yet: for routes where other things are told first.
#[derive(Debug)]
pub(crate) struct KeyHolder<A> {
    app: App,
    key: Key,
    ticket: Option<Arc<Ticket>>,
    /// Connections for an answer that is likely to be large.
    in_turn: Option<Db>,
    access: PhantomData<A>,
}

impl<S, A> FromRequestParts<S> for KeyHolder<A>
where
    S: Send + Sync,
    App: FromRef<S>,
    A: Access,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let app = App::from_ref(state);
        let key = authenticate(parts, &app).await?;
        note_key(&key.found, key.role);
        count(parts, &app, &key.found).await?;
        let payer = key.payer();
        let shared = (key.found.tenant_id == Some(payer)).then_some(&app.db);
        let in_turn = take_room(parts, payer, shared).await?;
        A::check(key.role)?;
        let ticket = Ticket::of(parts)?;
        Ok(Self { app, key, ticket, in_turn, access: PhantomData })
    }
}

impl<A> KeyHolder<A> {
    /// The caller, who works on a tenant.
    ///
    /// # Errors
    /// 400 for a superadmin who names none.
    pub(crate) fn in_tenant(self) -> ApiResult<Caller<A>> {
        let Key { found, role, impersonation, shown } = self.key;
        let tenant_id = found
            .tenant_id
            .ok_or_else(|| ApiError::bad_request("Superadmin must use X-Impersonate-Tenant header"))?;
        let identity = Identity::of(self.app, &found, role, tenant_id, impersonation, shown, self.ticket);
        let identity = Identity { in_turn: self.in_turn, ..identity };
        Ok(Caller { identity, access: PhantomData })
    }

    /// The server that they call.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The caller as a superadmin at work on what belongs to no tenant, whether they are inside one or not; None for every other role,
    /// and for a superadmin who has taken one on.
    pub(crate) fn beyond_tenants(self) -> Option<Identity> {
        let Key { found, role, shown, .. } = self.key;
        let is_superadmin = role == Role::Superadmin;
        is_superadmin.then(|| Identity::of(self.app, &found, role, Uuid::nil(), None, shown, self.ticket))
    }

    /// Whether the key may call what takes keys of these roles. Where it takes only those of superadmins, it is the key that counts,
    /// whatever role it takes on: such routes look at no tenant.
    pub(crate) fn may_call(&self, roles: &[Role]) -> bool {
        let Key { found, role, .. } = &self.key;
        roles.contains(role) || roles == [Role::Superadmin] && found.role == Role::Superadmin
    }

    /// The caller, who works on the tenant that a path names: their own, or as a superadmin who is inside none any.
    ///
    /// # Errors
    /// 404 for any other, who does not exist for them; or when the database fails.
    pub(crate) async fn in_tenant_of_path(self, tenant_id: Uuid) -> ApiResult<Identity> {
        if self.key.found.tenant_id.is_none() {
            return enter(self.app, self.key.shown, self.ticket, tenant_id).await;
        }
        let Caller { identity, .. } = self.in_tenant()?;
        if identity.tenant_id == tenant_id { Ok(identity) } else { Err(ApiError::not_found()) }
    }
}

impl<A: Access> Input for KeyHolder<A> {
    fn describe(operation: &mut Operation<'_>) {
        describe_key::<A>(operation);
        let header = |name, description, schema| Member { name, description, schema, required: false };
        operation.headers.extend([
            header(
                IMPERSONATE_TENANT,
                "Only with superadmin keys: the id of the tenant on which the request works, as if by a key of that tenant.",
                json_schema!({"type": "string"}),
            ),
            header(
                EFFECTIVE_ROLE,
                "Beside `X-Impersonate-Tenant`: the role in which that is done; without it the key stays superadmin.",
                json_schema!({"type": "string", "enum": Role::WORDS}),
            ),
        ]);
        let when = "a superadmin key that names no tenant where one is needed, or an unknown role";
        operation.refuse(400, Code::BadRequest, when);
        operation.refuse(404, Code::TenantNotFound, "there is no such tenant to impersonate");
    }
}

/// Whose keys an operation takes, and what every one refuses that needs a key.
pub(super) fn describe_key<A: Access>(operation: &mut Operation<'_>) {
    operation.roles = A::roles();
    operation.refuse(401, Code::Unauthorized, "no key was sent");
    operation.refuse(401, Code::InvalidApiKey, "the key is unknown, revoked or expired");
    operation.refuse(403, Code::Forbidden, "the role of the key may not do this");
    operation.refuse(403, Code::TenantNotActive, "the tenant is suspended, or not there yet");
    operation.refuse(429, Code::RateLimited, TOO_OFTEN);
}

/// When a request is one too many.
pub(super) const TOO_OFTEN: &str = "too many requests of the key or of its tenant within this minute";

/// Lets the request's log lines say whose key it is.
pub(super) fn note_key(found: &Found, role: Role) {
    let span = tracing::Span::current();
    span.record("key_id", tracing::field::display(found.key_id));
    span.record("role", role.as_str());
}

/// A valid key, with the tenant that it works on, if any.
#[derive(Debug)]
struct Key {
    found: Arc<Found>,
    role: Role,
    impersonation: Option<Impersonation>,
    shown: Shown,
}

impl Key {
    /// Of whose share it takes: a superadmin has one of their own, also within a tenant.
    fn payer(&self) -> Uuid {
        let tenant_id = self.found.tenant_id.filter(|_| self.found.role != Role::Superadmin);
        tenant_id.unwrap_or(self.found.key_id)
    }
}

/// Finds the key, which is one that is let in. `target` is the tenant that a superadmin wants to enter.
pub(super) async fn find(parts: &Parts, app: &App, target: Option<Uuid>) -> ApiResult<(Arc<Found>, Shown)> {
    let token = bearer(parts).ok_or_else(ApiError::unauthorized)?;
    let shown = Shown { key_hash: hash_key(token).into(), target };
    let found = app.identities.find(&app.db, &shown.key_hash, target).await?;
    let found = found.ok_or_else(ApiError::invalid_api_key)?;
    app.key_uses.note(found.key_id);
    if !found.is_active() {
        return Err(ApiError::tenant_not_active());
    }
    Ok((found, shown))
}

/// Goes with the requests that a request which was counted has the server make: the first of them is the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted(Arc<AtomicBool>);

impl Counted {
    fn covers_this(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// Counts a request of a key that is let in, whatever comes of it, and notes for the answer how the key stands. Superadmins are not
/// counted.
///
/// # Errors
/// 429 beyond the limit of the key or of its tenant; or when the database had to be asked, and fails.
pub(super) async fn count(parts: &Parts, app: &App, found: &Found) -> ApiResult<()> {
    if parts.extensions.get::<Counted>().is_some_and(Counted::covers_this) {
        return Ok(());
    }
    let Some(tenant_id) = found.tenant_id.filter(|_| found.role != Role::Superadmin) else { return Ok(()) };
    pay(parts, app, Payer { key_id: found.key_id, tenant_id, limit: found.rate_limit() }).await
}

/// As [`count`], of whoever it is.
///
/// # Errors
/// As there.
pub(super) async fn pay(parts: &Parts, app: &App, payer: Payer) -> ApiResult<()> {
    let Judged { standing, refused } = app.rates.admit(app, payer).await?;
    if let Some(noted) = parts.extensions.get::<Noted>() {
        noted.note(standing);
    }
    let Some((reached, seconds)) = refused else { return Ok(()) };
    metrics::rate_limited(match reached {
        Reached::Key => "key",
        Reached::Tenant => "tenant",
    });
    Err(ApiError::too_many_requests(&format!("Too many requests. Retry after {seconds} seconds."), seconds))
}

/// Lets a request have what it takes of the process: of the share of its tenant, or of a superadmin's own. Where its answer is likely to
/// be large, that is read over what is returned, of `shared`, which is what tenants take turns with.
///
/// # Errors
/// 503 when the others have all of that share.
pub(super) async fn take_room(parts: &Parts, of: Uuid, shared: Option<&Db>) -> ApiResult<Option<Db>> {
    Stay::in_parts(&parts.extensions).enter(of, shared).await
}

/// Finds the key and its tenant, and lets a superadmin into another tenant.
async fn authenticate(parts: &Parts, app: &App) -> ApiResult<Key> {
    let impersonate = header(parts, IMPERSONATE_TENANT);
    // A malformed id names no tenant; the nil UUID finds none.
    let target = impersonate.map(|text| parse_uuid(text).unwrap_or_default());
    let (found, shown) = find(parts, app, target).await?;
    let role = found.role;
    if role != Role::Superadmin || target.is_none() {
        return Ok(Key { found, role, impersonation: None, shown });
    }
    let Some(tenant_slug) = found.tenant_slug.clone() else {
        return Err(ApiError::new(StatusCode::NOT_FOUND, Code::TenantNotFound, "Tenant not found"));
    };
    let effective_role = effective_role(parts)?;
    Ok(Key {
        found,
        role: effective_role.unwrap_or(Role::Superadmin),
        impersonation: Some(Impersonation { tenant_slug, effective_role, at: Utc::now() }),
        shown,
    })
}

/// The role that a superadmin takes. One that is not known would leave it all its rights where it meant to have fewer.
fn effective_role(parts: &Parts) -> ApiResult<Option<Role>> {
    let mut sent = parts.headers.get_all(EFFECTIVE_ROLE).iter();
    let (first, further) = (sent.next(), sent.next());
    let text = first.map_or(Some(""), |value| value.to_str().ok()).map(str::trim);
    let known = match (text, further) {
        (Some(""), None) => return Ok(None),
        (Some(text), None) => Role::parse(text),
        _ => None,
    };
    let role = known.ok_or_else(|| {
        let message = "Bad Request: X-Effective-Role must be user, orchestrator or agent; without it the key stays superadmin";
        ApiError::bad_request(message)
    })?;
    Ok(Some(role).filter(|role| *role != Role::Superadmin))
}

/// The token of the one `Authorization: Bearer …` header.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.trim_start().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// A header's text; empty counts as absent.
fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn token(values: &[&str]) -> Option<String> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(AUTHORIZATION, *value);
        }
        bearer(&request.body(()).unwrap().into_parts().0).map(str::to_owned)
    }

    #[test]
    fn only_one_bearer_token_counts() {
        assert_eq!(token(&["Bearer   lc_x  "]).as_deref(), Some("lc_x"));
        assert_eq!(token(&["bEARER lc_x"]).as_deref(), Some("lc_x"));
        for none in
            [vec![], vec!["Basic abc"], vec!["Bearer"], vec!["Bearer   "], vec!["Bearer a", "Bearer b"]]
        {
            assert_eq!(token(&none), None, "{none:?}");
        }
    }
}
