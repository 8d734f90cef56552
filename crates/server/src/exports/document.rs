//! The document of an export (file 03 §10), written page by page.

use serde::Serialize;
use uuid::Uuid;

use super::records::{ExportedEpic, ExportedEpicDependency, ExportedStory, ExportedStoryDependency, Head};
use super::store::{Page, Source};
use super::stream::{CutOff, Sink};

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
    write_story_dependencies(&mut document, &mut source).await?;
    write_epic_dependencies(&mut document, &mut source).await?;
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
    let mut after = None;
    loop {
        let Page { rows, more } = source.epics(after).await?;
        for row in &rows {
            let epic = ExportedEpic::read(row)?;
            document.next_item();
            document.open(&epic)?;
            write_stories(document, source, row.try_get("id")?, include_status).await?;
            document.text("}");
            after = Some(epic.number);
        }
        if !more {
            break;
        }
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
    let mut after = None;
    loop {
        let Page { rows, more } = source.stories(epic_id, after.take()).await?;
        for (key, row) in rows {
            document.item(&ExportedStory::read(&row, include_status)?)?;
            after = Some(key);
        }
        document.sink.flush().await?;
        if !more {
            break;
        }
    }
    document.end_list();
    Ok(())
}

async fn write_story_dependencies(document: &mut Document, source: &mut Source) -> Result<(), CutOff> {
    document.begin_list("story_dependencies");
    let mut after = None;
    loop {
        let Page { mut rows, more } = source.story_edges(after.take()).await?;
        for (story, other) in &rows {
            document.item(&ExportedStoryDependency { story: &story.number, depends_on: &other.number })?;
            document.sink.flush().await?;
        }
        after = rows.pop();
        if !more {
            break;
        }
    }
    document.end_list();
    Ok(())
}

async fn write_epic_dependencies(document: &mut Document, source: &mut Source) -> Result<(), CutOff> {
    document.begin_list("epic_dependencies");
    let mut after = None;
    loop {
        let Page { rows, more } = source.epic_edges(after).await?;
        for (epic, depends_on) in rows {
            document.item(&ExportedEpicDependency { epic, depends_on })?;
            document.sink.flush().await?;
            after = Some((epic, depends_on));
        }
        if !more {
            break;
        }
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
