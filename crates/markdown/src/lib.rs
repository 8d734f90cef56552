//! From Markdown to the HTML of a page, for documents (while loopctl is built) and for articles (when they are shown). There is no
//! script and no style in what comes of it.

mod code;
mod words;

use std::collections::BTreeMap;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

pub use words::{links, summary};

/// What there is in Markdown of ours besides its core.
const OPTIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH);

/// How deep parts of a text are in each other. What is deeper is shown as deep as that: each level of HTML costs whoever looks through it as
/// much as all levels above it, and a character makes one.
const DEEPEST: usize = 32;

/// What becomes of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It leads there.
    To(String),
    /// Its words stay, and lead nowhere.
    Words,
    /// Its words stay, and it is shown that what they are to lead to is missing.
    Missing,
}

/// What a text may hold, and where its links lead. Whatever is refused ends the rendering.
pub trait Rules {
    /// What becomes of a link.
    ///
    /// # Errors
    /// When it may not be there.
    fn link(&mut self, to: &str) -> Result<Link, String>;

    /// Where a picture is; None: the words that stand for it are shown.
    ///
    /// # Errors
    /// When it may not be there.
    fn picture(&mut self, at: &str) -> Result<Option<String>, String>;

    /// Whether HTML in the text is shown as the text that it is; otherwise it is left out.
    ///
    /// # Errors
    /// When it may not be there.
    fn shows_html(&mut self, html: &str) -> Result<bool, String>;

    /// Whether a heading of the first level is the title, which stands elsewhere. Otherwise it is one of the second level.
    fn has_title(&self) -> bool;
}

/// A rendered text.
#[derive(Debug, Default)]
pub struct Rendered {
    /// Its heading of the first level, where that is the title.
    pub title: String,
    /// The ids and the texts of its headings of the second level.
    pub contents: Vec<(String, String)>,
    /// What follows the title.
    pub html: String,
}

/// Renders a text.
///
/// # Errors
/// What the rules refuse.
pub fn render(markdown: &str, rules: &mut impl Rules) -> Result<Rendered, String> {
    let mut page = Rendered::default();
    let mut events = Parser::new_ext(markdown, OPTIONS);
    let mut out = Vec::new();
    let mut ids = BTreeMap::new();
    let (mut open_links, mut open_pictures) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    while let Some(event) = events.next() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let mut inside = Vec::new();
                while let Some(event) = events.next().filter(|event| !is_end_of_heading(event)) {
                    match event {
                        Event::InlineHtml(text) if rules.shows_html(&text)? => {
                            inside.push(Event::Text(text));
                        }
                        // A heading is a link to itself, in which there is no other one.
                        event if is_link(&event) => {}
                        Event::InlineHtml(_) => {}
                        event => inside.push(event),
                    }
                }
                let text: String = inside.iter().filter_map(words::of).collect();
                if level == HeadingLevel::H1 && rules.has_title() {
                    page.title = text;
                    continue;
                }
                let level = level.max(HeadingLevel::H2);
                let id = unique(&mut ids, slug(&text));
                out.push(Event::Html(format!("<{level} id=\"{id}\"><a href=\"#{id}\">").into()));
                out.extend(inside);
                out.push(Event::Html(format!("</a></{level}>\n").into()));
                if level == HeadingLevel::H2 {
                    page.contents.push((id, text));
                }
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let mut text = String::new();
                while let Some(Event::Text(part)) = events.next() {
                    text.push_str(&part);
                }
                out.push(Event::Html(code::block(&kind, &text).into()));
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let link = rules.link(&dest_url)?;
                match &link {
                    Link::To(target) => {
                        let dest_url = target.clone().into();
                        out.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                    }
                    Link::Words => {}
                    Link::Missing => out.push(Event::Html("<span class=\"missing\">".into())),
                }
                open_links.push(link);
            }
            Event::End(TagEnd::Link) => match open_links.pop() {
                Some(Link::To(_)) => out.push(Event::End(TagEnd::Link)),
                Some(Link::Missing) => {
                    let mark = " <span class=\"mark\">(no such article)</span></span>";
                    out.push(Event::Html(mark.into()));
                }
                Some(Link::Words) | None => {}
            },
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                let target = rules.picture(&dest_url)?;
                open_pictures.push(target.is_some());
                if let Some(target) = target {
                    out.push(Event::Start(Tag::Image { link_type, dest_url: target.into(), title, id }));
                }
            }
            Event::End(TagEnd::Image) => {
                if open_pictures.pop() == Some(true) {
                    out.push(Event::End(TagEnd::Image));
                }
            }
            // Wide tables are scrolled, with the keyboard as well.
            Event::Start(Tag::Table(columns)) => {
                out.push(Event::Html("<div class=\"table\" tabindex=\"0\">".into()));
                out.push(Event::Start(Tag::Table(columns)));
            }
            Event::End(TagEnd::Table) => {
                out.push(Event::End(TagEnd::Table));
                out.push(Event::Html("</div>\n".into()));
            }
            Event::Start(Tag::HtmlBlock) => {
                let mut text = String::new();
                while let Some(Event::Html(part)) = events.next() {
                    text.push_str(&part);
                }
                if rules.shows_html(&text)? {
                    out.extend([
                        Event::Html("<p>".into()),
                        Event::Text(text.into()),
                        Event::Html("</p>\n".into()),
                    ]);
                }
            }
            Event::InlineHtml(text) => {
                if rules.shows_html(&text)? {
                    out.push(Event::Text(text));
                }
            }
            Event::Start(tag) => {
                depth += 1;
                if depth <= DEEPEST {
                    out.push(Event::Start(tag));
                }
            }
            Event::End(tag) => {
                if depth <= DEEPEST {
                    out.push(Event::End(tag));
                }
                depth = depth.saturating_sub(1);
            }
            other => out.push(other),
        }
    }
    html::push_html(&mut page.html, out.into_iter());
    // How columns are aligned comes as a style, which pages may not have.
    for side in ["left", "center", "right"] {
        page.html =
            page.html.replace(&format!(" style=\"text-align: {side}\""), &format!(" class=\"{side}\""));
    }
    Ok(page)
}

fn is_end_of_heading(event: &Event<'_>) -> bool {
    matches!(event, Event::End(TagEnd::Heading(_)))
}

fn is_link(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Start(Tag::Link { .. } | Tag::Image { .. }) | Event::End(TagEnd::Link | TagEnd::Image)
    )
}

/// As on forges: what is no letter, digit, hyphen or underscore goes, blanks become hyphens.
fn slug(text: &str) -> String {
    let lower = text.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
    if slug.is_empty() { "section".to_owned() } else { slug }
}

/// The same heading a second time is `…-1`.
fn unique(known: &mut BTreeMap<String, usize>, id: String) -> String {
    let count = known.entry(id.clone()).and_modify(|count| *count += 1).or_insert(0);
    if *count == 0 { id } else { format!("{id}-{count}") }
}

#[cfg(test)]
mod tests;
