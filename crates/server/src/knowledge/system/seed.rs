//! The articles that come along with loopctl are brought into the database, whenever the schema is brought up to date.
//!
//! One that is not there is written. One that still says what came along with an earlier version says from then on what came along with
//! this one. One that a superadmin has changed stays as it is, until it is what came along once again; and so does the status that it
//! was given, and an article of theirs that has the same slug.

use loopctl_docs::{ARTICLES, Article};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::VERSION;
use crate::db::migrate::connect;
use crate::db::{DbError, Login};
use crate::events::{Attribution, Event, record_as_owner};
use crate::knowledge::embeddings::changed_by_owner;

/// Two at once take turns. Any number will do as long as every loopctl uses the same.
const TURN: i64 = 0x6c6f_6f70_7769_6b69;

/// A superadmin who is changing one of them is waited for.
const FOUND: &str = "
    select id, slug, title, body, category, tags, shipped_digest from system_articles where slug = any($1) for update";
const WRITE: &str = "
    insert into system_articles (id, slug, title, body, category, tags, status, shipped_digest)
    values ($1, $2, $3, $4, $5, $6, 'published', $7)";
const REPLACE: &str = "
    update system_articles
    set title = $2, body = $3, category = $4, tags = $5, shipped_digest = $6, updated_at = clock_timestamp()
    where id = $1";

/// What an article says, as far as it comes along.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    title: String,
    body: String,
    category: String,
    tags: Vec<String>,
}

impl Said {
    fn by(article: &Article) -> Self {
        Self {
            title: article.title.to_owned(),
            body: article.body.to_owned(),
            category: article.category.to_owned(),
            tags: article.tags.iter().map(|tag| (*tag).to_owned()).collect(),
        }
    }

    fn digest(&self) -> Vec<u8> {
        Sha256::digest(json!([self.title, self.body, self.category, self.tags]).to_string()).to_vec()
    }
}

/// An article as it is in the database.
#[derive(Debug)]
struct Found {
    id: Uuid,
    slug: String,
    said: Said,
    /// Of what came along; None: it did not.
    shipped_digest: Option<Vec<u8>>,
}

impl Found {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            slug: row.try_get("slug")?,
            said: Said {
                title: row.try_get("title")?,
                body: row.try_get("body")?,
                category: row.try_get("category")?,
                tags: row.try_get("tags")?,
            },
            shipped_digest: row.try_get("shipped_digest")?,
        })
    }
}

/// What becomes of an article that comes along.
#[derive(Debug, PartialEq)]
enum Step {
    Write,
    Replace(Uuid),
    Leave,
}

fn step(shipped: &Said, found: Option<&Found>) -> Step {
    let Some(found) = found else { return Step::Write };
    let is_as_it_came = found.shipped_digest.as_ref() == Some(&found.said.digest());
    if is_as_it_came && found.said != *shipped { Step::Replace(found.id) } else { Step::Leave }
}

/// Brings the articles that come along into a database whose schema is up to date. How many were written.
///
/// # Errors
/// When the database is not to be reached, or fails; then nothing is written.
pub async fn seed(owner: &Login) -> Result<usize, DbError> {
    let mut client = connect(owner).await?;
    let tx = client.transaction().await?;
    tx.execute("select pg_advisory_xact_lock($1)", &[&TURN]).await?;
    let slugs: Vec<_> = ARTICLES.iter().map(|article| article.slug).collect();
    let rows = tx.query(FOUND, &[&slugs]).await?;
    let found = rows.iter().map(Found::read).collect::<Result<Vec<_>, _>>()?;
    let mut events = Vec::new();
    for article in ARTICLES {
        let (said, slug) = (Said::by(article), article.slug);
        let Said { title, body, category, tags } = &said;
        let (id, action) = match step(&said, found.iter().find(|found| found.slug == slug)) {
            Step::Leave => continue,
            Step::Write => {
                let id = Uuid::now_v7();
                tx.execute(WRITE, &[&id, &slug, title, body, category, tags, &said.digest()]).await?;
                (id, "article.created")
            }
            Step::Replace(id) => {
                tx.execute(REPLACE, &[&id, title, body, category, tags, &said.digest()]).await?;
                (id, "article.updated")
            }
        };
        changed_by_owner(&tx, id, title, body).await?;
        events.push(told(id, action, &said));
    }
    let written = events.len();
    if written > 0 {
        record_as_owner(tx, Uuid::nil(), &Attribution::system("wiki"), events).await?;
    }
    Ok(written)
}

/// What the log says of it. Its text is a part of loopctl.
fn told(id: Uuid, action: &'static str, said: &Said) -> Event {
    let Said { title, category, tags, .. } = said;
    let told = json!({"title": title, "category": category, "tags": tags, "project_id": null});
    Event::new("article", id, action, told).meta("scope", "system").meta("loopctl_version", VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(title: &str) -> Said {
        Said { title: title.to_owned(), body: "b".to_owned(), category: "reference".to_owned(), tags: vec![] }
    }

    fn found(says: &str, came_as: Option<&str>) -> Found {
        let shipped_digest = came_as.map(|title| said(title).digest());
        Found { id: Uuid::max(), slug: "s".to_owned(), said: said(says), shipped_digest }
    }

    #[test]
    fn what_a_superadmin_has_written_stays() {
        let new = said("new");
        assert_eq!(step(&new, None), Step::Write);
        assert_eq!(step(&new, Some(&found("old", Some("old")))), Step::Replace(Uuid::max()));
        assert_eq!(step(&new, Some(&found("new", Some("new")))), Step::Leave);
        // Changed, and changed to what comes along.
        assert_eq!(step(&new, Some(&found("theirs", Some("old")))), Step::Leave);
        assert_eq!(step(&new, Some(&found("new", Some("old")))), Step::Leave);
        // Their own, of the same slug.
        assert_eq!(step(&new, Some(&found("theirs", None))), Step::Leave);
    }

    #[test]
    fn whatever_differs_makes_another_digest() {
        let one = said("a");
        for other in [
            said("b"),
            Said { body: "c".to_owned(), ..one.clone() },
            Said { category: "pattern".to_owned(), ..one.clone() },
            Said { tags: vec!["t".to_owned()], ..one.clone() },
        ] {
            assert_ne!(one.digest(), other.digest());
        }
    }
}
