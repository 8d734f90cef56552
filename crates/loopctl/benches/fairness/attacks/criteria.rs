//! Changes that cost seconds, by clients that are gone once they have asked: what nobody waits for may still hold connections to the
//! database, and locks.

use super::{Hostile, scale};
use crate::bodies::{End, criteria, import};
use crate::hostile::{Client, Manner, Request};

scale! {
    /// Who changes a story, and who merges, at once and over and over.
    Scale {
        patches: usize = 4, 12;
        criteria: usize = 100, 500;
        bytes: usize = 50_000, 250_000;
        merges: usize = 2, 12;
        stories: usize = 200, 5_000;
        bytes_of_merge: usize = 200_000, 4 << 20;
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    let words = ["this", "that"];
    let merges = words.map(|word| import(scale.stories, scale.bytes_of_merge, word, End::Sound));
    let project = hostile.planned(&merges[0]).await;
    let story = format!("/stories/{}", hostile.story(&project).await);
    let patches = words.map(|word| {
        Request::with("PATCH", &story, &hostile.planner, &criteria(scale.criteria, scale.bytes, word))
    });
    hostile.done(&patches[0]).await;
    let merges = merges.map(|body| hostile.importing(&project, &body));
    let mut clients = Client::crowd(scale.patches, Manner::Leaves, &patches);
    clients.extend(Client::crowd(scale.merges, Manner::Leaves, &merges));
    clients
}
