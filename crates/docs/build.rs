//! Renders the documents.

#![allow(clippy::print_stdout)] // It is how Cargo is spoken to.

#[path = "articles.rs"]
mod articles;
#[path = "render.rs"]
mod render;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use render::Site;

/// The documents that pages are made of, in the order in which they are best read.
const PAGES: [&str; 23] = [
    "quick-start",
    "concepts",
    "guide",
    "agents",
    "orchestrators",
    "reviewers",
    "mcp",
    "hooks",
    "skills",
    "cost",
    "measured-usage",
    "knowledge",
    "lifecycle",
    "api",
    "errors",
    "cli",
    "import-export",
    "webhooks",
    "production",
    "runbook",
    "operations",
    "security-model",
    "performance",
];

/// What has to be said, and stands beside the documents.
const LEGAL: [&str; 2] = ["terms", "privacy"];

fn main() -> Result<(), Box<dyn Error>> {
    let docs = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../docs");
    println!("cargo::rerun-if-changed={}", docs.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=render.rs");
    println!("cargo::rerun-if-changed=articles.rs");
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(&docs)? {
        files.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let pictures: Vec<_> = files.iter().filter(|name| name.ends_with(".svg")).cloned().collect();
    let articles = articles::read(&docs.join("wiki"))?;
    let slugs: Vec<_> = articles.iter().map(|article| article.slug.clone()).collect();
    let site = Site { pages: &PAGES, legal: &LEGAL, files: &files, articles: &slugs };
    let into = PathBuf::from(env::var("OUT_DIR")?);
    let mut out = String::new();
    for (list, about, names) in [
        ("PAGES", "All documents, in the order in which they are best read.", &PAGES[..]),
        ("LEGAL", "What has to be said.", &LEGAL[..]),
    ] {
        writeln!(out, "/// {about}\npub const {list}: &[Page] = &[")?;
        for name in names {
            let text = fs::read_to_string(docs.join(format!("{name}.md")))
                .map_err(|error| format!("docs/{name}.md: {error}"))?;
            let page = render::page(&text, site).map_err(|error| format!("docs/{name}.md: {error}"))?;
            let contents: Vec<_> = page
                .contents
                .iter()
                .map(|(id, text)| format!("Heading {{ id: {id:?}, text: {text:?} }}"))
                .collect();
            let packed = format!("{name}.html.z");
            let mut to = ZlibEncoder::new(fs::File::create(into.join(&packed))?, Compression::best());
            to.write_all(page.html.as_bytes())?;
            to.finish()?;
            writeln!(
                out,
                "Page {{ name: {name:?}, title: {:?}, contents: &[{}], packed: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{packed}\")) }},",
                page.title,
                contents.join(", ")
            )?;
        }
        writeln!(out, "];")?;
    }
    writeln!(out, "/// All drawings.\npub const PICTURES: &[Picture] = &[")?;
    for name in &pictures {
        writeln!(out, "Picture {{ name: {name:?}, svg: {:?} }},", fs::read_to_string(docs.join(name))?)?;
    }
    writeln!(out, "];")?;
    writeln!(out, "/// All articles, by their slugs.\npub const ARTICLES: &[Article] = &[")?;
    for article in &articles {
        writeln!(out, "{},", article.written_out())?;
    }
    writeln!(out, "];")?;
    fs::write(into.join("documents.rs"), out)?;
    Ok(())
}
