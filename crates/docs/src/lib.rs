//! The documents of `docs/`, rendered while this is built: what is read on the pages of a server is what is read in the repository. And
//! the articles of `docs/wiki/`, as they were written.

use flate2::bufread::ZlibDecoder;

/// A document.
#[derive(Debug)]
pub struct Page {
    /// As in `docs/<name>.md`.
    pub name: &'static str,
    /// Its heading of the first level.
    pub title: &'static str,
    /// What stands in it, in order.
    pub contents: &'static [Heading],
    /// Its text, compressed (zlib).
    packed: &'static [u8],
}

/// A heading of the second level.
#[derive(Debug)]
pub struct Heading {
    /// By which links lead to it.
    pub id: &'static str,
    /// What it says.
    pub text: &'static str,
}

/// A drawing of a document.
#[derive(Debug)]
pub struct Picture {
    /// As in `docs/<name>`.
    pub name: &'static str,
    /// SVG.
    pub svg: &'static str,
}

/// An article of the wiki that comes with loopctl.
#[derive(Debug)]
pub struct Article {
    /// As in `docs/wiki/<slug>.md`.
    pub slug: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What kind of article it is.
    pub category: &'static str,
    /// What it is about.
    pub tags: &'static [&'static str],
    /// Markdown.
    pub body: &'static str,
}

/// The first page: what to set up, and why.
pub const GUIDE: &str = "guide";

include!(concat!(env!("OUT_DIR"), "/documents.rs"));

/// A page by its name.
pub fn page(name: &str) -> Option<&'static Page> {
    PAGES.iter().chain(LEGAL).find(|page| page.name == name)
}

impl Page {
    /// Its text without the title, as HTML. There is no script and no style in it.
    pub fn html(&self) -> String {
        // A test reads all of them.
        std::io::read_to_string(ZlibDecoder::new(self.packed)).unwrap_or_default()
    }

    /// Where it is served.
    pub fn path(&self) -> String {
        match self.name {
            GUIDE => "/docs".to_owned(),
            name if LEGAL.iter().any(|page| page.name == name) => format!("/{name}"),
            name => format!("/docs/{name}"),
        }
    }
}
