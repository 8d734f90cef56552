//! `--knowledge`: what a search costs over 10,000 and over 100,000 published articles of a tenant, and what their place in memory takes.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;

use crate::bench::Bench;
use crate::http::{Until, once, request};
use crate::note;
use crate::service::Service;
use crate::tenants::Tenant;

/// How many articles there are, one case after the other.
const CASES: [usize; 2] = [10_000, 100_000];
/// For how long each question is asked again and again, over one connection.
const SPAN: Duration = Duration::from_secs(4);
/// Rows of a statement.
const BATCH: usize = 2_000;
/// Words that there are, and words of an article.
const WORDS: usize = 20_000;
const LENGTH: usize = 120;

const QUESTIONS: [&str; 4] = [
    "two workers grab the same row",
    "why does the pool run dry under load",
    "how do we retry a webhook without sending it twice",
    "the build is green here and red over there",
];

/// Whether this is wanted.
pub(crate) fn is_wanted() -> bool {
    std::env::args().any(|argument| argument == "--knowledge")
}

#[allow(clippy::print_stdout, reason = "the table is this program's result")]
pub(crate) async fn run(scratch: &std::path::Path) {
    let mut tenants = Vec::new();
    {
        let service = Service::start(scratch).await;
        let owner = service.owner().await;
        for count in CASES {
            note(&format!("{count} articles"));
            let tenant = Tenant::create(&service, &format!("knows-{count}")).await;
            fill(&owner, &tenant, count).await;
            tenants.push((count, tenant.agent.key));
        }
        owner.batch_execute("vacuum analyze").await.expect("statistics");
    }
    // What it knew of them before they were written behind its back is forgotten.
    let bench = Bench::new(Service::start(scratch).await).await;
    println!(
        "| articles | asked | server + PostgreSQL, CPU ms | p50, ms | p99, ms |\n|---:|---|---:|---:|---:|"
    );
    let mut memory = Vec::new();
    for (count, key) in tenants {
        let questions = |path: &str| -> Vec<Vec<u8>> {
            let asked = QUESTIONS.map(|question| question.replace(' ', "+"));
            asked.iter().map(|asked| request("GET", &format!("{path}{asked}"), &key, "")).collect()
        };
        let before = bench.service.idle_memory().await;
        let began = Instant::now();
        once(&bench.service.address, &questions("/knowledge/search?q=")[0]).await;
        let first = began.elapsed();
        memory.push((count, first, bench.service.idle_memory().await.saturating_sub(before)));
        for (what, path) in [
            ("search", "/knowledge/search?q="),
            ("`mode=semantic`", "/knowledge/search?mode=semantic&q="),
            ("`mode=keyword`", "/knowledge/search?mode=keyword&q="),
            ("context", "/knowledge/context?query="),
            ("context, `max_tokens=2000`", "/knowledge/context?max_tokens=2000&query="),
        ] {
            let load = bench.load(questions(path), 1, Until::Over(SPAN)).await;
            let (server, postgres) = (load.cost.server, load.cost.postgres);
            println!(
                "| {count} | {what} | {server:.1} + {postgres:.1} | {:.1} | {:.1} |",
                load.median, load.tail
            );
        }
    }
    println!(
        "\n| articles | first search after a start, s | memory, MB | for each 1,000, MB |\n|---:|---:|---:|---:|"
    );
    for (count, first, bytes) in memory {
        let megabytes = bytes as f64 / 1e6;
        let each = megabytes / (count as f64 / 1000.0);
        println!("| {count} | {:.1} | {megabytes:.0} | {each:.2} |", first.as_secs_f64());
    }
}

/// Writes published articles with vectors, as the model that comes along would have made them: one of each, of every third two.
async fn fill(owner: &Client, tenant: &Tenant, count: usize) {
    // What it is called and how long its vectors are is known from one that it has made itself.
    let body = json!({"title": "The first", "body": "It has a vector.", "category": "pattern", "status": "published"});
    tenant.user.post("/articles", &body).await;
    let made = "select model, dimensions from article_embeddings where tenant_id = $1::text::uuid";
    let (model, dimensions) = loop {
        if let Some(row) = owner.query_opt(made, &[&tenant.id]).await.expect("vectors") {
            break (row.get::<_, String>(0), row.get::<_, i32>(1));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut dice = Dice(42);
    let insert = format!(
        "with written as (
             insert into articles (tenant_id, id, title, body, category, tags, slug, status)
             select '{}', gen_random_uuid(), title, body, 'pattern', array['bench', 'tag' || n % 50], 'of-the-bench-' || n, 'published'
             from unnest($1::int4[], $2::text[], $3::text[]) as t (n, title, body)
             returning tenant_id, id, title, body
         )
         insert into article_embeddings (tenant_id, article_id, model, dimensions, vectors, text_hash)
         select w.tenant_id, w.id, $4, $5, t.vectors, sha256(convert_to(w.title || E'\\n\\n' || w.body, 'UTF8'))
         from written w join unnest($2::text[], $6::bytea[]) as t (title, vectors) using (title)",
        tenant.id
    );
    let insert = owner.prepare(&insert).await.expect("a statement");
    for from in (1..count).step_by(BATCH) {
        let numbers: Vec<i32> = (from..count.min(from + BATCH)).map(|number| number as i32).collect();
        let titles: Vec<String> = numbers.iter().map(|number| format!("{} {number}", dice.text(6))).collect();
        let bodies: Vec<String> = numbers.iter().map(|_| dice.text(LENGTH)).collect();
        let vectors: Vec<Vec<u8>> = numbers
            .iter()
            .map(|number| dice.bytes(dimensions as usize * if number % 3 == 0 { 2 } else { 1 }))
            .collect();
        owner
            .execute(&insert, &[&numbers, &titles, &bodies, &model, &dimensions, &vectors])
            .await
            .expect("articles");
    }
}

/// Numbers that look like chance and are the same every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Words, few of which are frequent, and those of the questions among them.
    fn text(&mut self, words: usize) -> String {
        let mut text = Vec::new();
        for _ in 0..words {
            let share = self.next() as f64 / f64::from(1 << 31);
            let place = (WORDS as f64).powf(share) as usize;
            let asked = QUESTIONS[place % QUESTIONS.len()].split(' ').nth(place / QUESTIONS.len() % 8);
            text.push(match asked {
                Some(word) if place < 300 => word.to_owned(),
                _ => format!("word{}", base26(place)),
            });
        }
        text.join(" ")
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A number in letters.
fn base26(mut number: usize) -> String {
    let mut letters = String::new();
    while number > 0 {
        letters.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    letters
}
