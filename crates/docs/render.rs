//! What documents may link to.

use std::collections::BTreeSet;

use loopctl_markdown::{Link, Rendered, Rules, render};

/// What there is to link to.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    /// The documents, under `/docs`; the guide is `/docs` itself.
    pub(crate) pages: &'a [&'a str],
    /// Those that are served beside it.
    pub(crate) legal: &'a [&'a str],
    /// Every file beside them: the drawings, and documents that are only in the repository.
    pub(crate) files: &'a BTreeSet<String>,
    /// The articles that come along, under `/wiki`, by their slugs.
    pub(crate) articles: &'a [String],
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
                name if self.is_article(name) => at(format!("/{name}")),
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

impl Site<'_> {
    /// Whether this names one, as in `wiki/chain-of-custody`.
    fn is_article(&self, name: &str) -> bool {
        let slug = name.strip_prefix("wiki/");
        slug.is_some_and(|slug| self.articles.iter().any(|article| article == slug))
    }
}

impl Rules for Site<'_> {
    fn link(&mut self, to: &str) -> Result<Link, String> {
        Ok(self.target(to)?.map_or(Link::Words, Link::To))
    }

    fn picture(&mut self, at: &str) -> Result<Option<String>, String> {
        let target = self.target(at)?;
        target.map(Some).ok_or_else(|| format!("{at} is not a picture of ours"))
    }

    /// Comments are for those who write documents.
    fn shows_html(&mut self, html: &str) -> Result<bool, String> {
        if html.trim().starts_with("<!--") { Ok(false) } else { Err(format!("{html:?} is HTML")) }
    }

    fn has_title(&self) -> bool {
        true
    }
}

/// Renders a document.
///
/// # Errors
/// When it has no title or holds HTML (comments aside), or a link or a picture leads nowhere.
pub(crate) fn page(markdown: &str, mut site: Site<'_>) -> Result<Rendered, String> {
    let page = render(markdown, &mut site)?;
    if page.title.is_empty() { Err("has no title".to_owned()) } else { Ok(page) }
}
