//! Imports as large as they may be, at once: each is read, judged and written as a whole, and half of them for nothing.

use super::{Hostile, scale};
use crate::bodies::{End, IMPORT, import};
use crate::hostile::{Client, Manner};

scale! {
    /// Imports at once, each over and over.
    Scale {
        imports: usize = 4, 12;
        stories: usize = 200, 5_000;
        bytes: usize = 1 << 20, IMPORT - (1 << 16);
    }
}

pub(crate) async fn prepare(hostile: &Hostile, scale: Scale) -> Vec<Client> {
    let body = |word, end| import(scale.stories, scale.bytes, word, end);
    let sound = ["this", "that"].map(|word| body(word, End::Sound));
    let refused = body("this", End::Cycle);
    let mut clients = Vec::new();
    for number in 0..scale.imports {
        // Imports of one project take turns.
        let project = hostile.project().await;
        let requests = if number % 2 == 0 {
            sound.iter().map(|body| hostile.importing(&project, body)).collect()
        } else {
            vec![hostile.importing(&project, &refused)]
        };
        clients.push(Client { requests, manner: Manner::Reads });
    }
    clients
}
