//! Articles of the wiki that come with loopctl: a file each, which says at its beginning what it is.

use std::error::Error;
use std::fs;
use std::path::Path;

/// A file `<slug>.md`.
#[derive(Default)]
pub(crate) struct Article {
    pub(crate) slug: String,
    title: String,
    category: String,
    tags: Vec<String>,
    body: String,
}

impl Article {
    /// As an article of the library.
    pub(crate) fn written_out(&self) -> String {
        let Self { slug, title, category, tags, body } = self;
        format!(
            "Article {{ slug: {slug:?}, title: {title:?}, category: {category:?}, tags: &{tags:?}, body: {body:?} }}"
        )
    }
}

/// All of them, by their slugs.
///
/// # Errors
/// When one does not say what it is.
pub(crate) fn read(folder: &Path) -> Result<Vec<Article>, Box<dyn Error>> {
    let mut articles = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let slug = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let article = article(slug, &fs::read_to_string(&path)?);
        articles.push(article.map_err(|error| format!("{}: {error}", path.display()))?);
    }
    articles.sort_by(|one, other| one.slug.cmp(&other.slug));
    Ok(articles)
}

fn article(slug: String, text: &str) -> Result<Article, String> {
    let (front, body) = text
        .strip_prefix("---\n")
        .and_then(|text| text.split_once("\n---\n"))
        .ok_or("begins with no `---`, title, category, tags, `---`")?;
    let mut article = Article { slug, body: format!("{}\n", body.trim()), ..Article::default() };
    for line in front.lines() {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("{line:?} names nothing"))?;
        let value = value.trim();
        match name {
            "title" => article.title = value.to_owned(),
            "category" => article.category = value.to_owned(),
            "tags" => {
                let list = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
                let list = list.ok_or_else(|| format!("{value:?} is no list of tags"))?;
                article.tags = list.split(',').map(|tag| tag.trim().to_owned()).collect();
            }
            name => return Err(format!("{name:?} is not known")),
        }
    }
    if [&article.title, &article.category].iter().any(|said| said.is_empty()) {
        return Err("has no title, or no category".to_owned());
    }
    Ok(article)
}
