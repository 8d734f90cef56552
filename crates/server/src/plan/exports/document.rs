//! The document of an export, written page by page.

use serde::Serialize;
use uuid::Uuid;

use super::api::{ExportedStory, Head};
use super::store::{ExportedEpic, ExportedEpicDependency, ExportedStoryDependency, Listed, Source, StoryRow};
use crate::http::{CutOff, Sink};

/// Writes the whole document.
pub(super) async fn write(
    head: Head,
    mut source: Source,
    include_status: bool,
    sink: Sink,
) -> Result<(), CutOff> {
    let mut document = Document { sink, begun: false };
    document.open(&head)?;
    write_epics(&mut document, &mut source, include_status).await?;
    write_edges::<ExportedStoryDependency>(&mut document, &mut source, "story_dependencies").await?;
    write_edges::<ExportedEpicDependency>(&mut document, &mut source, "epic_dependencies").await?;
    document.text("}");
    // The client may take its time with the rest.
    source.close().await?;
    document.sink.finish().await
}

async fn write_epics(
    document: &mut Document,
    source: &mut Source,
    include_status: bool,
) -> Result<(), CutOff> {
    document.begin_list("epics");
    let (mut last, mut more) = (None, true);
    while more {
        let mut rows;
        (rows, more) = source.page::<ExportedEpic>(source.project_id, last.as_ref()).await?;
        for epic in &rows {
            document.next_item();
            document.open(epic)?;
            write_stories(document, source, epic.id, include_status).await?;
            document.text("}");
        }
        last = rows.pop();
    }
    document.end_list();
    Ok(())
}

async fn write_stories(
    document: &mut Document,
    source: &mut Source,
    epic_id: Uuid,
    include_status: bool,
) -> Result<(), CutOff> {
    document.begin_list("stories");
    let (mut last, mut more) = (None, true);
    while more {
        let mut rows;
        (rows, more) = source.page::<StoryRow>(epic_id, last.as_ref()).await?;
        for story in &rows {
            document.item(&ExportedStory::of(story, include_status))?;
        }
        document.sink.flush().await?;
        last = rows.pop();
    }
    document.end_list();
    Ok(())
}

async fn write_edges<R: Listed + Serialize>(
    document: &mut Document,
    source: &mut Source,
    name: &str,
) -> Result<(), CutOff> {
    document.begin_list(name);
    let (mut last, mut more) = (None, true);
    while more {
        let mut rows;
        (rows, more) = source.page::<R>(source.project_id, last.as_ref()).await?;
        for edge in &rows {
            document.item(edge)?;
            document.sink.flush().await?;
        }
        last = rows.pop();
    }
    document.end_list();
    Ok(())
}

/// JSON that is written from its beginning to its end.
struct Document {
    sink: Sink,
    /// Whether the list that is being written has an item.
    begun: bool,
}

impl Document {
    fn text(&mut self, text: &str) {
        self.sink.buffer.extend_from_slice(text.as_bytes());
    }

    fn value(&mut self, value: &impl Serialize) -> Result<(), CutOff> {
        Ok(serde_json::to_writer(&mut self.sink.buffer, value)?)
    }

    /// An object without its closing brace: there are more members to come.
    fn open(&mut self, object: &impl Serialize) -> Result<(), CutOff> {
        self.value(object)?;
        self.sink.buffer.pop();
        Ok(())
    }

    /// A list as a further member of the open object.
    fn begin_list(&mut self, name: &str) {
        self.text(",\"");
        self.text(name);
        self.text("\":[");
        self.begun = false;
    }

    fn next_item(&mut self) {
        if self.begun {
            self.text(",");
        }
        self.begun = true;
    }

    fn item(&mut self, value: &impl Serialize) -> Result<(), CutOff> {
        self.next_item();
        self.value(value)
    }

    fn end_list(&mut self) {
        self.text("]");
        // The list around this one has the item that this one is part of.
        self.begun = true;
    }
}
