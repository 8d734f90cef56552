//! Connections that say nothing, half a head, or most of a body: each costs a client a few bytes of state, and the server what it keeps
//! for whoever has not finished.

use super::{Hostile, scale};
use crate::bodies::{IMPORT, refused_import};
use crate::hostile::{Client, Manner, Request};

scale! {
    /// How many of each there are. Who is sent away comes again.
    Scale {
        idle: usize = 100, 1_100;
        heads: usize = 20, 200;
        bodies: usize = 10, 150;
        bytes: usize = 2 << 20, IMPORT;
        stops: usize = 1 << 20, 9 << 20;
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    let project = hostile.project().await;
    let path = format!("/projects/{project}/import");
    let head = Request::half_a_head(&path, &hostile.planner);
    let body = Request::half_a_body(&path, &hostile.planner, &refused_import(scale.bytes), scale.stops);
    let kinds = [(scale.idle, Request::none()), (scale.heads, head), (scale.bodies, body)];
    kinds.into_iter().flat_map(|(count, request)| Client::crowd(count, Manner::Halts, &[request])).collect()
}
