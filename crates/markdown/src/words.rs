//! What a text says and links to, without any markup.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::OPTIONS;

/// The words of an event, if it has some.
pub(crate) fn of<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    match event {
        Event::Text(text) | Event::Code(text) => Some(text),
        _ => None,
    }
}

/// Where the links of a text lead, in order.
pub fn links(markdown: &str) -> Vec<String> {
    let events = Parser::new_ext(markdown, OPTIONS);
    let links = events.filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    });
    links.collect()
}

/// The first paragraph of a text in its words, cut to about so many characters where a word ends. Empty where there is none.
pub fn summary(markdown: &str, most: usize) -> String {
    let mut events = Parser::new_ext(markdown, OPTIONS);
    let mut said = String::new();
    if !events.any(|event| matches!(event, Event::Start(Tag::Paragraph))) {
        return said;
    }
    for event in events {
        match event {
            Event::End(TagEnd::Paragraph) => break,
            Event::SoftBreak | Event::HardBreak => said.push(' '),
            event => said.extend(of(&event)),
        }
    }
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = said.char_indices().nth(most) else { return said };
    let cut = said.get(..end).unwrap_or_default();
    let whole = cut.rsplit_once(' ').map_or(cut, |(whole, _)| whole);
    format!("{}…", whole.trim_end_matches(|c: char| c.is_ascii_punctuation()))
}
