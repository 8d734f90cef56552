//! What superadmins see of everybody: read as the owner, above row-level security.

use uuid::Uuid;

use super::tx::{Kind, Tx};
use super::{Batch, Db, DbError, Row, statements};

statements! {
    IS_ABOVE -> Privilege = "select {*} from pg_roles where rolname = current_user and $1::uuid is not null";
}

#[derive(Row)]
pub(crate) struct Privilege {
    #[row(sql = "rolsuper or rolbypassrls")]
    is_above: bool,
}

/// The owner's connections.
#[derive(Debug, Clone)]
pub(crate) struct AdminDb(Db);

impl AdminDb {
    /// Over a pool with the owner's login.
    pub(crate) const fn new(owner: Db) -> Self {
        Self(owner)
    }

    /// Runs statements that only read, in one round trip. `tenant_id` is their `$1`, and means what they make of it: all tenants
    /// are to be seen. None: the login is not above row-level security, and would see nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn read<B: Batch>(
        &self,
        tenant_id: Uuid,
        batch: B,
    ) -> Result<Option<B::Answer>, DbError> {
        let read = async |mut tx: Tx| {
            let Privilege { is_above } = tx.one(IS_ABOVE, &[]).await?;
            if is_above { tx.commit(&batch).await.map(Some) } else { Ok(None) }
        };
        self.0.attempts(tenant_id, Kind::ReadingAll, "", read).await
    }

    /// Closes the connections.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}
