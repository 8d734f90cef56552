//! The largest answers, for clients that read nothing of them: what cannot be sent has to be somewhere.

use super::{Hostile, artifacts, lists, scale};
use crate::hostile::{Client, Manner};

scale! {
    /// Who asks, and for what.
    Scale {
        connections: usize = 20, 200;
        artifacts: artifacts::Scale = artifacts::Scale::SMALL, artifacts::Scale::FULL;
        lists: lists::Scale = lists::Scale::SMALL, lists::Scale::FULL;
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    let mut requests = lists::requests(hostile, scale.lists).await;
    requests.extend(artifacts::requests(hostile, scale.artifacts).await);
    requests.push(hostile.reading("/changes?since=2020-01-01T00:00:00Z&limit=1000"));
    Client::crowd(scale.connections, Manner::Ignores, &requests)
}
