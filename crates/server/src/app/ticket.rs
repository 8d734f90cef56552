//! Requests that may be repeated: those with an `Idempotency-Key`. What was done and answered once is answered again, and not done
//! again.
//!
//! The key is taken as the first thing in the transaction of the change, and the answer is kept as the last: both come about with the
//! change, or not at all. Whoever sends the same while it is being done waits for it, in this process where that costs nothing, in
//! another on the row.

use loopctl_core::code::Code;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Identity;
use crate::db::{Row, Share, Tx, statements};
use crate::http::{Answer, ApiError, ApiResult, BodyDigest, IDEMPOTENCY_KEY, Kept, LONGEST_KEY};

statements! {
    KEEP = "
        update idempotency_keys set status = $4, answer = $5
        where tenant_id = $1 and api_key_id = $2 and key_hash = $3";
    TAKE = "
        insert into idempotency_keys (tenant_id, api_key_id, key_hash, fingerprint) values ($1, $2, $3, $4)
        on conflict (tenant_id, api_key_id, key_hash) do nothing";
    FIND_KEPT -> Found = "
        select {*} from idempotency_keys where tenant_id = $1 and api_key_id = $2 and key_hash = $3";
}

#[derive(Row)]
pub(crate) struct Found {
    /// Whether the same was asked for.
    #[row(sql = "fingerprint = $4")]
    is_same: bool,
    status: Option<i32>,
    answer: Option<String>,
}

/// What a client has chosen to know its request by, and what that request asks for.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    key_hash: [u8; 32],
    /// Of method, path and query.
    request: [u8; 32],
    body: BodyDigest,
}

impl Ticket {
    /// That of a request that may change something, if it has one.
    ///
    /// # Errors
    /// 400 for a key that is none.
    pub(super) fn of(parts: &mut Parts) -> ApiResult<Option<Arc<Self>>> {
        if [Method::GET, Method::HEAD].contains(&parts.method) {
            return Ok(None);
        }
        let mut sent = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (sent.next(), sent.next()) {
            (None, _) => return Ok(None),
            (Some(key), None) => readable(key).ok_or_else(unreadable)?,
            (Some(_), Some(_)) => return Err(unreadable()),
        };
        let asked = [parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default()];
        let ticket = Self {
            key_hash: Sha256::digest(key).into(),
            request: digest(&asked.map(str::as_bytes)),
            body: BodyDigest::default(),
        };
        parts.extensions.insert(ticket.body.clone());
        Ok(Some(Arc::new(ticket)))
    }

    /// Of everything that is asked for. Only once the body has been read.
    fn fingerprint(&self) -> [u8; 32] {
        digest(&[&self.request, self.body.get().as_ref().map_or(&[][..], |body| &body[..])])
    }

    /// Waits until nobody else of this process is doing the same.
    ///
    /// # Errors
    /// 409 when it takes too long; 503 when the server stops first.
    pub(super) async fn turn(&self, caller: &Identity) -> ApiResult<Share> {
        let of = digest(&[caller.tenant_id.as_bytes(), caller.key_id.as_bytes(), &self.key_hash]);
        let of = Uuid::from_slice(of.get(..16).unwrap_or_default()).unwrap_or_default();
        let turn = caller.app.life.wait(caller.app.repeated.turn(of)).await.ok_or_else(ApiError::stopping)?;
        turn.ok_or_else(ApiError::idempotency_in_progress)
    }

    /// What takes the key, to be sent with what begins the transaction: it costs no round trip. There is nothing in it that a client
    /// has written.
    pub(super) fn claim(&self, caller: &Identity) -> String {
        let (key_hash, fingerprint) = (hex::encode(self.key_hash), hex::encode(self.fingerprint()));
        format!(
            "insert into idempotency_keys (tenant_id, api_key_id, key_hash, fingerprint) \
             values ('{}', '{}', '\\x{key_hash}', '\\x{fingerprint}')",
            caller.tenant_id, caller.key_id
        )
    }

    /// Takes the key by itself, for a request that makes several changes; the answer that was given before, if it was. Without one
    /// the request was begun before, and did not come to its end.
    ///
    /// # Errors
    /// 422 when something else was asked for then; or when the database fails.
    pub(super) async fn take(&self, caller: &Identity) -> ApiResult<Option<Kept>> {
        let (key_hash, fingerprint) = (&self.key_hash[..], self.fingerprint());
        let params = [&caller.key_id as _, &key_hash as _, &&fingerprint[..] as _];
        caller.app.db.write(caller.tenant_id, TAKE.with(&params)).await?;
        self.replay(caller).await
    }

    /// Keeps the answer, if it is worth it.
    ///
    /// # Errors
    /// When it cannot be kept; then nothing of the change may be.
    pub(super) async fn keep(&self, tx: &mut Tx, caller: &Identity, answer: &impl Answer) -> ApiResult<()> {
        let Some(Kept { status, body }) = answer.kept()? else { return Ok(()) };
        let status = i32::from(status);
        Ok(tx.execute(KEEP, &[&caller.key_id, &&self.key_hash[..], &status, &body]).await?)
    }

    /// The answer that was given before.
    ///
    /// # Errors
    /// 422 when something else was asked for then; or when the database fails.
    pub(super) async fn replay(&self, caller: &Identity) -> ApiResult<Option<Kept>> {
        let fingerprint = self.fingerprint();
        let params = [&caller.key_id as _, &&self.key_hash[..] as _, &&fingerprint[..] as _];
        let found = caller.read(FIND_KEPT.with(&params)).await?.into_iter().next();
        let Some(Found { is_same, status, answer }) = found else { return Ok(None) };
        if !is_same {
            return Err(ApiError::unprocessable(
                Code::IdempotencyKeyReused,
                "This Idempotency-Key was used for another request (method, path, query or body differ): use a new key for each",
            ));
        }
        let status = status.and_then(|status| u16::try_from(status).ok());
        Ok(status.map(|status| Kept { status, body: answer }))
    }
}

fn readable(key: &HeaderValue) -> Option<&[u8]> {
    let key = key.as_bytes();
    ((1..=LONGEST_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)).then_some(key)
}

fn unreadable() -> ApiError {
    ApiError::bad_request(format!(
        "Bad Request: {IDEMPOTENCY_KEY} must be one header of 1 to {LONGEST_KEY} visible ASCII characters, such as a UUID"
    ))
}

/// Of several things, none of which can be taken for a part of another.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
