//! Imports of a project take turns, and who waits for a turn holds what it has read, and maybe a connection to the database.

use super::{Hostile, scale};
use crate::bodies::{End, import};
use crate::hostile::{Client, Manner};

scale! {
    /// Merges of the same stories into one project at once, over and over.
    Scale {
        merges: usize = 6, 30;
        stories: usize = 200, 5_000;
        bytes: usize = 200_000, 2 << 20;
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    let bodies = ["this", "that"].map(|word| import(scale.stories, scale.bytes, word, End::Sound));
    let project = hostile.planned(&bodies[0]).await;
    let requests = bodies.map(|body| hostile.importing(&project, &body));
    Client::crowd(scale.merges, Manner::Reads, &requests)
}
