//! What the server itself has published: a shelf for all tenants, which is read anew when something on it has changed.

use std::sync::Arc;

use uuid::Uuid;

use super::store::{SYSTEM_SHELVED, SYSTEM_STATE};
use super::{MOST_BYTES, Shelf, Shelves};
use crate::db::{Db, DbError};
use crate::knowledge::embeddings::Model;

/// The place of that shelf.
#[derive(Debug, Default)]
pub(super) struct Slot(tokio::sync::Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Of what the shelf is; None: nothing was read yet.
    of: Option<(String, Option<Model>)>,
    /// None: it does not fit.
    shelf: Option<Arc<Shelf>>,
}

impl Shelves {
    /// The shelf of system articles, with all that is committed. None: that does not fit.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn of_system(
        &self,
        db: &Db,
        model: Option<&Model>,
    ) -> Result<Option<Arc<Shelf>>, DbError> {
        let name = model.map(|model| model.name.as_str());
        let state = db.read(Uuid::nil(), SYSTEM_STATE.with(&[&name])).await?;
        let of = state.into_iter().next().map(|state| (state, model.cloned()));
        let mut kept = self.system.0.lock().await;
        if kept.of.is_none() || kept.of != of {
            // What is changed between the two statements is seen twice, and not missed.
            let rows = db.read(Uuid::nil(), SYSTEM_SHELVED.with(&[&name])).await?;
            let mut shelf = Shelf::default();
            rows.into_iter().for_each(|row| shelf.put(row));
            let fits = shelf.bytes() <= MOST_BYTES;
            if !fits {
                tracing::warn!(
                    "there are more system articles than fit into memory: searches with them go by words alone"
                );
            }
            *kept = Kept { of, shelf: fits.then(|| Arc::new(shelf)) };
        }
        Ok(kept.shelf.clone())
    }
}
