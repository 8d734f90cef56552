//! Writes the archive, an entry at a time.

use std::collections::HashMap;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Datelike, Timelike, Utc};
use loopctl_core::knowledge::{ArticleText, EntryNames, index_page, page};
use tokio::task::spawn_blocking;
use zip::ZipWriter;
use zip::write::{SimpleFileOptions, StreamWriter};

use super::store::{Listed, RELATED_ARTICLES, WHOLE_ARTICLES, Whole};
use crate::db::{Timestamp, Tx};
use crate::http::{CutOff, Sink};

/// Articles that are read at once: with all their text they may be large.
const AT_ONCE: usize = 10;

/// What has been written of the archive and not yet sent.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An entry that is to be written.
struct Entry {
    name: String,
    changed_at: DateTime<Utc>,
    text: String,
}

/// Writes the index and the articles that it lists, in this order.
pub(super) async fn write(articles: Vec<Listed>, mut source: Tx, mut sink: Sink) -> Result<(), CutOff> {
    let written = Written::default();
    let listed = articles.iter().map(|article| (article.category, article.title.as_str()));
    let index = Entry { name: "_index.md".to_owned(), changed_at: Utc::now(), text: index_page(listed) };
    let mut zip = compressed(ZipWriter::new_stream(written.clone()), vec![index]).await?;
    let mut names = EntryNames::default();
    for some in articles.chunks(AT_ONCE) {
        let ids: Vec<_> = some.iter().map(|article| article.id).collect();
        let (whole, related) =
            source.batch((WHOLE_ARTICLES.with(&[&ids]), RELATED_ARTICLES.with(&[&ids]))).await?;
        let whole: HashMap<_, _> = whole.into_iter().map(|article| (article.id, article)).collect();
        let mut entries = Vec::with_capacity(ids.len());
        for article in ids.iter().filter_map(|id| whole.get(id)) {
            let related = related.iter().filter(|row| row.article_id == article.id);
            let related = related.map(|row| (row.title.as_str(), row.relationship_type.as_str()));
            entries.push(Entry {
                name: names.entry(article.category, &article.title),
                changed_at: article.updated_at.0,
                text: text_of(article, related),
            });
        }
        zip = compressed(zip, entries).await?;
        sink.buffer.append(&mut written.take());
        sink.flush().await?;
    }
    zip.finish().map_err(io::Error::from)?;
    sink.buffer.append(&mut written.take());
    source.commit(&()).await?;
    sink.finish().await
}

fn text_of<'a>(article: &Whole, related: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let Whole { title, body, category, tags, status, source_type, inserted_at, updated_at, .. } = article;
    let [created_at, updated_at] = [inserted_at, updated_at].map(Timestamp::to_string);
    let article = ArticleText {
        title,
        category: *category,
        tags,
        status: status.as_str(),
        source_type: source_type.as_deref(),
        created_at: &created_at,
        updated_at: &updated_at,
        body,
    };
    page(&article, related)
}

/// Adds entries to the archive. Compressing takes a processor's time, so it is done beside those who serve requests.
async fn compressed(
    mut zip: ZipWriter<StreamWriter<Written>>,
    entries: Vec<Entry>,
) -> io::Result<ZipWriter<StreamWriter<Written>>> {
    let work = move || {
        for Entry { name, changed_at, text } in entries {
            zip.start_file(name, SimpleFileOptions::default().last_modified_time(moment(changed_at)))?;
            zip.write_all(text.as_bytes())?;
        }
        Ok(zip)
    };
    spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A time as archives have it: from 1980 on, and of every other second.
fn moment(at: DateTime<Utc>) -> zip::DateTime {
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    let year = u16::try_from(at.year()).unwrap_or_default();
    let [month, day, hour, minute, second] =
        [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(small);
    zip::DateTime::from_date_and_time(year, month, day, hour, minute, second).unwrap_or_default()
}
