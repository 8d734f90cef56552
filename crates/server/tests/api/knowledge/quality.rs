//! How well questions find their articles: the labelled set of `crates/embed/fixtures`, asked of a real server.

use std::collections::HashMap;
use std::fmt::Write as _;

use loopctl_server::serve::ServeOptions;
use serde_json::{Value, json};

use super::embedded_at;
use crate::support::{Caller, PATIENCE, Tenant, by_meaning, own_database, started, text};

const ARTICLES: &str = include_str!("../../../../embed/fixtures/articles.jsonl");
const QUESTIONS: &str = include_str!("../../../../embed/fixtures/questions.jsonl");

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// Of some questions: how many have their article first, how many among the first five, and the sum of one over its place.
#[derive(Default, Clone, Copy)]
struct Score {
    all: f64,
    first: f64,
    five: f64,
    reciprocal: f64,
}

impl Score {
    fn count(&mut self, place: Option<usize>) {
        self.all += 1.0;
        if let Some(place) = place {
            self.first += f64::from(u8::from(place == 0));
            self.five += f64::from(u8::from(place < 5));
            self.reciprocal += 1.0 / (place as f64 + 1.0);
        }
    }

    /// Recall at one and at five, and the mean reciprocal rank.
    fn shares(&self) -> [f64; 3] {
        [self.first, self.five, self.reciprocal].map(|sum| sum / self.all)
    }
}

/// How a mode does, of all questions, of those that share words with their article, and of those that share none.
async fn judged(who: &Caller, mode: &str, ids: &HashMap<String, String>) -> [Score; 3] {
    let mut scores = [Score::default(); 3];
    for question in lines(QUESTIONS) {
        let asked: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("q", question["question"].as_str().unwrap())
            .finish();
        let found = who.get(&format!("/knowledge/search?{asked}&mode={mode}&limit=50")).await.expect(200);
        let also = question["also"].as_array().unwrap().iter();
        let right: Vec<Value> =
            also.chain([&question["article"]]).map(|article| json!(ids[article.as_str().unwrap()])).collect();
        let place = found["data"].as_array().unwrap().iter().position(|row| right.contains(&row["id"]));
        scores[0].count(place);
        scores[if question["kind"] == "shared" { 1 } else { 2 }].count(place);
    }
    scores
}

/// The table of `docs/knowledge.md`: `bin/test --test api -- quality --nocapture` prints it.
#[tokio::test]
async fn questions_find_their_articles() {
    // Its own: nobody else's articles are embedded there.
    let server = started(ServeOptions { embeddings: by_meaning(), ..ServeOptions::local(own_database()) });
    let tenant = Tenant::at(&server.owner, &server.base).await;
    let mut ids = HashMap::new();
    for article in lines(ARTICLES) {
        let mut body = article.clone();
        body["status"] = json!("published");
        let made = tenant.user.post("/articles", body).await.expect(201);
        ids.insert(text(&article["id"]), text(&made["data"]["id"]));
    }
    // A processor is busy with them for some twenty seconds, if it has nothing else to do.
    embedded_at(&server, &tenant, i64::try_from(ids.len()).unwrap(), 5 * PATIENCE).await;
    let mut table = String::from("| mode | all | with a word in common | without |\n|---|---|---|---|\n");
    let mut combined = [[0.0; 3]; 3];
    for mode in ["keyword", "semantic", "combined"] {
        let shares = judged(&tenant.user, mode, &ids).await.map(|score| score.shares());
        let cells = shares.map(|[first, five, mean]| format!("{first:.3} / {five:.3} / {mean:.3}"));
        let _ = writeln!(table, "| `{mode}` | {} |", cells.join(" | "));
        if mode == "combined" {
            combined = shares;
        }
    }
    println!("{table}");
    // What was aimed at; measured was more.
    let [all, shared, other] = combined;
    assert!(all[1] >= 0.90 && all[2] >= 0.75, "{table}");
    assert!(shared[1] >= 0.99 && other[1] >= 0.80, "{table}");
}
