//! What is the same for every request: at hand with each, and made when somebody asks for it first.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::endpoint::{Input, Operation};
use super::error::{ApiError, ApiResult};

/// Something that the router lays beside every request, as an `Extension`.
pub(crate) struct Shared<T>(pub(crate) Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Send + Sync, T: Send + Sync + 'static> FromRequestParts<S> for Shared<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::internal)
    }
}

impl<T> Input for Shared<T> {
    fn describe(_: &mut Operation<'_>) {}
}

/// A value that takes its time to make, and is made once: a server that starts has better things to do, and so has one that answers
/// others meanwhile.
pub(crate) struct Late<T> {
    made: OnceCell<T>,
    make: Arc<dyn Fn() -> T + Send + Sync>,
}

impl<T: Send + 'static> Late<T> {
    /// One that is made so.
    pub(crate) fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { made: OnceCell::new(), make: Arc::new(make) }
    }

    /// The value. Whoever asks while it is made waits for it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) async fn get(&self) -> ApiResult<&T> {
        let make = async || {
            let make = self.make.clone();
            spawn_blocking(move || make()).await.map_err(|error| {
                tracing::error!(%error, "what is always the same cannot be made");
                ApiError::internal()
            })
        };
        self.made.get_or_try_init(make).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn it_is_made_once() {
        let times = Arc::new(AtomicU32::new(0));
        let counted = times.clone();
        let late = Late::new(move || counted.fetch_add(1, Ordering::SeqCst));
        assert_eq!(times.load(Ordering::SeqCst), 0);
        let (one, two) = tokio::join!(late.get(), late.get());
        assert_eq!((one.unwrap(), two.unwrap(), late.get().await.unwrap()), (&0, &0, &0));
    }

    #[tokio::test]
    async fn what_cannot_be_made_is_tried_again() {
        let times = Arc::new(AtomicU32::new(0));
        let counted = times.clone();
        let late = Late::new(move || {
            let before = counted.fetch_add(1, Ordering::SeqCst);
            assert!(before > 0, "not the first time");
            before
        });
        assert!(late.get().await.is_err());
        assert_eq!(late.get().await.unwrap(), &1);
    }
}
