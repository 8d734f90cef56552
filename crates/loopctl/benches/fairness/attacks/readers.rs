//! Exports are read in one snapshot while they are sent: who reads a byte a second keeps a connection to the database, of which there are
//! few, and the others still want their exports.

use super::{Hostile, scale};
use crate::bodies::{End, IMPORT, import};
use crate::hostile::{Client, Manner};

scale! {
    /// Slow readers, and the plan that they read.
    Scale {
        readers: usize = 12, 30;
        stories: usize = 500, 5_000;
        bytes: usize = IMPORT / 2, IMPORT - (1 << 16);
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    let project = hostile.planned(&import(scale.stories, scale.bytes, "this", End::Sound)).await;
    let export = hostile.reading(&format!("/projects/{project}/export"));
    Client::crowd(scale.readers, Manner::Dawdles, &[export])
}
