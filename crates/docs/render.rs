//! From Markdown to the HTML of a page.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{
    CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html,
};

/// What there is to link to.
pub(crate) struct Site<'a> {
    /// The documents, under `/docs`; the guide is `/docs` itself.
    pub(crate) pages: &'a [&'a str],
    /// Those that are served beside it.
    pub(crate) legal: &'a [&'a str],
    /// Every file beside them: the drawings, and documents that are only in the repository.
    pub(crate) files: &'a BTreeSet<String>,
}

/// A rendered document.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    /// Its heading of the first level.
    pub(crate) title: String,
    /// The ids and the texts of its headings of the second level.
    pub(crate) contents: Vec<(String, String)>,
    /// What follows the title.
    pub(crate) html: String,
}

impl Site<'_> {
    /// Where a link of a document leads on a page; None where the document is only in the repository.
    ///
    /// # Errors
    /// When it is a picture or a document that is not there.
    fn target(&self, link: &str) -> Result<Option<String>, String> {
        let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let at =
            |path: String| Some(anchor.map_or_else(|| path.clone(), |anchor| format!("{path}#{anchor}")));
        if file.is_empty() || file.contains("://") || file.starts_with('/') {
            return Ok(Some(link.to_owned()));
        }
        if let Some(name) = file.strip_suffix(".md") {
            return Ok(match name {
                "../README" => Some("/home".to_owned()),
                "README" => Some("/docs".to_owned()),
                "guide" => at("/docs".to_owned()),
                name if self.pages.contains(&name) => at(format!("/docs/{name}")),
                name if self.legal.contains(&name) => at(format!("/{name}")),
                _ if file.starts_with("../") || self.files.contains(file) => None,
                _ => return Err(format!("{link} leads nowhere")),
            });
        }
        if self.files.contains(file) {
            return Ok(Some(format!("/drawings/{file}")));
        }
        if file.starts_with("../") { Ok(None) } else { Err(format!("{link} leads nowhere")) }
    }
}

/// Renders a document.
///
/// # Errors
/// When it has no title or holds HTML (comments aside), or a link or a picture leads nowhere.
pub(crate) fn page(markdown: &str, site: &Site<'_>) -> Result<Rendered, String> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut page = Rendered::default();
    let mut events = Parser::new_ext(markdown, options).peekable();
    let mut out = Vec::new();
    let mut ids = BTreeMap::new();
    let mut unlinked = Vec::new();
    while let Some(event) = events.next() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let inside: Vec<_> = events
                    .by_ref()
                    .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))))
                    .collect();
                let text: String = inside.iter().filter_map(words).collect();
                if level == HeadingLevel::H1 {
                    page.title = text;
                    continue;
                }
                let id = unique(&mut ids, slug(&text));
                out.push(Event::Html(format!("<{level} id=\"{id}\"><a href=\"#{id}\">").into()));
                out.extend(inside);
                out.push(Event::Html(format!("</a></{level}>\n").into()));
                if level == HeadingLevel::H2 {
                    page.contents.push((id, text));
                }
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let mut code = String::new();
                while let Some(Event::Text(text)) = events.next() {
                    code.push_str(&text);
                }
                out.push(Event::Html(block(&kind, &code).into()));
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => match site.target(&dest_url)? {
                Some(target) => {
                    unlinked.push(false);
                    out.push(Event::Start(link(link_type, target, title, id)));
                }
                None => unlinked.push(true),
            },
            Event::End(TagEnd::Link) => {
                if unlinked.pop() == Some(false) {
                    out.push(Event::End(TagEnd::Link));
                }
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                let target =
                    site.target(&dest_url)?.ok_or_else(|| format!("{dest_url} is not a picture of ours"))?;
                out.push(Event::Start(Tag::Image { link_type, dest_url: target.into(), title, id }));
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
            Event::Html(text) | Event::InlineHtml(text) => {
                if !text.trim().starts_with("<!--") {
                    return Err(format!("{text:?} is HTML"));
                }
            }
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            other => out.push(other),
        }
    }
    if page.title.is_empty() {
        return Err("has no title".to_owned());
    }
    html::push_html(&mut page.html, out.into_iter());
    // How columns are aligned comes as a style, which pages may not have.
    for side in ["left", "center", "right"] {
        page.html =
            page.html.replace(&format!(" style=\"text-align: {side}\""), &format!(" class=\"{side}\""));
    }
    Ok(page)
}

fn link<'a>(link_type: LinkType, target: String, title: CowStr<'a>, id: CowStr<'a>) -> Tag<'a> {
    Tag::Link { link_type, dest_url: target.into(), title, id }
}

fn words<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    match event {
        Event::Text(text) | Event::Code(text) => Some(text),
        _ => None,
    }
}

/// As on forges: what is no letter, digit, hyphen or underscore goes, blanks become hyphens.
fn slug(text: &str) -> String {
    let lower = text.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The same heading a second time is `…-1`.
fn unique(known: &mut BTreeMap<String, usize>, id: String) -> String {
    let count = known.entry(id.clone()).and_modify(|count| *count += 1).or_insert(0);
    if *count == 0 { id } else { format!("{id}-{count}") }
}

/// A block of code. In a session with a shell, what is typed is told from what is answered.
fn block(kind: &CodeBlockKind<'_>, code: &str) -> String {
    let info = if let CodeBlockKind::Fenced(info) = kind { info.as_ref() } else { "" };
    let language = info.split(' ').next().unwrap_or_default();
    let mut body = String::new();
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("$ ").filter(|_| language == "console") else {
            body.push_str(&format!("{}\n", escaped(line)));
            continue;
        };
        let mut typed = first.to_owned();
        while is_open(&typed) && lines.peek().is_some() {
            typed = format!("{typed}\n{}", lines.next().unwrap_or_default());
        }
        body.push_str(&format!("<span class=\"prompt\">$ </span><b>{}</b>\n", escaped(&typed)));
    }
    format!("<pre tabindex=\"0\" data-language=\"{language}\"><code>{}</code></pre>\n", body.trim_end())
}

/// Whether a command goes on in the next line: a quote or a block of the shell is open, or its end asks for more.
fn is_open(command: &str) -> bool {
    let (mut quote, mut is_escaped, mut bare) = (None, false, String::new());
    for c in command.chars() {
        match (c, quote) {
            _ if is_escaped => is_escaped = false,
            ('\\', None | Some('"')) => is_escaped = true,
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) => bare.push(c),
            _ => {}
        }
    }
    let words = || bare.split(|c: char| c.is_whitespace() || c == ';');
    let count = |known: &[&str]| words().filter(|word| known.contains(word)).count();
    let blocks = count(&["do", "then", "{"]) > count(&["done", "fi", "}"])
        || count(&["while", "for", "if"]) > count(&["done", "fi"]);
    let asks = ["|", "&&"].iter().any(|end| bare.trim_end().ends_with(end));
    quote.is_some() || is_escaped || blocks || asks
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
