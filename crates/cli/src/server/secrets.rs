//! The keys of secrets, for the commands on the server's side.

use std::env::VarError;

use loopctl_server::config::{Database, DatabaseOptions};
use loopctl_server::operator::{self, Reencryption};
use loopctl_server::secrets::{Keys, Vault};
use serde_json::{Value, json};

use super::Failure;
use crate::progress;

/// What the help of commands that use the keys of secrets ends with. From the command line everybody on the machine could
/// read them.
pub(crate) const KEYS: &str = "Only from the environment:\n  \
    CLOAK_KEY           what secrets in the database are encrypted with: 32 bytes in base64; with loopctl's own\n                      \
    PostgreSQL a file in the data directory serves where it is not set\n  \
    CLOAK_RETIRED_KEYS  earlier ones, separated by commas, for secrets that are not yet encrypted anew";

/// The keys that the environment names.
pub(crate) fn keys() -> Result<Keys, Failure> {
    let variable = |name: &str| match std::env::var(name) {
        Err(VarError::NotUnicode(_)) => Err(Failure::Setting(format!("{name} is not base64"))),
        value => Ok(value.ok()),
    };
    let (current, retired) = (variable("CLOAK_KEY")?, variable("CLOAK_RETIRED_KEYS")?);
    Keys::parse(current.as_deref(), retired.as_deref()).map_err(Failure::Keys)
}

/// Encrypts all secrets with the current key. Says what it did as JSON.
pub(crate) async fn reencrypt(
    options: &DatabaseOptions,
    database: &Database,
    keys: &Keys,
    dry_run: bool,
) -> Result<Value, Failure> {
    let vault = Vault::of(keys, options, &database.owner).await.map_err(Failure::Keys)?;
    let bar = progress::counting("secrets");
    let looked = |done: &Reencryption| bar.set_position(done.looked_at());
    let done = operator::reencrypt(&database.owner, &vault, dry_run, looked).await;
    bar.finish_and_clear();
    Ok(json!({"secrets": done.map_err(Failure::Operator)?}))
}
