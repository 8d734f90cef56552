//! Bodies that are read to their end and then refused, or in which nothing matters: processor time that no database limits.

use super::{Hostile, scale};
use crate::bodies::{BODY, IMPORT, object, refused_import};
use crate::hostile::{Client, Manner, Request};

scale! {
    /// Clients of either kind, and how much each sends.
    Scale {
        claims: usize = 4, 8;
        bytes_of_claim: usize = BODY / 4, BODY - 1_000;
        imports: usize = 2, 4;
        bytes_of_import: usize = IMPORT / 4, IMPORT - 1_000;
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    let project = hostile.tenant.plan(&hostile.slug(), 1).await;
    let story = hostile.story(&project).await;
    let body = object(scale.bytes_of_claim).into_bytes().into();
    let claim = Request::with("POST", &format!("/stories/{story}/claim"), &hostile.agent().key, &body);
    let import = hostile.importing(&project, &refused_import(scale.bytes_of_import));
    let mut clients = Client::crowd(scale.claims, Manner::Reads, &[claim]);
    clients.extend(Client::crowd(scale.imports, Manner::Reads, &[import]));
    clients
}
