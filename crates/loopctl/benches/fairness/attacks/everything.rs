//! All of it at once, which is what several tenants would do, or one that means it: limits that hold for each attack by itself may not
//! hold for their sum.

use super::{Hostile, Size, answers, artifacts, criteria, imports, lists, merges, parsing, readers, sockets};
use crate::hostile::Client;

pub(crate) async fn prepare(hostile: &Hostile, size: Size) -> Vec<Client> {
    let mut clients = artifacts::prepare(hostile, artifacts::Scale::of(size)).await;
    clients.extend(lists::prepare(hostile, lists::Scale::of(size)).await);
    clients.extend(imports::prepare(hostile, imports::Scale::of(size)).await);
    clients.extend(criteria::prepare(hostile, criteria::Scale::of(size)).await);
    clients.extend(merges::prepare(hostile, merges::Scale::of(size)).await);
    // Two tenants stay below the connections that a server has in all, which anybody can take without a key.
    let sockets = sockets::Scale::of(size);
    clients.extend(sockets::prepare(hostile, sockets::Scale { idle: sockets.idle / 2, ..sockets }).await);
    clients.extend(parsing::prepare(hostile, parsing::Scale::of(size)).await);
    clients.extend(readers::prepare(hostile, readers::Scale::of(size)).await);
    clients.extend(answers::prepare(hostile, answers::Scale::of(size)).await);
    clients
}
