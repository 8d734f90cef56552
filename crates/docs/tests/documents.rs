//! What the documents promise of each other, and what is promised of them.

use std::collections::BTreeSet;

use loopctl_core::code::Code;
use loopctl_docs::{ARTICLES, LEGAL, PAGES, PICTURES, Page, page};
use loopctl_markdown::links;

fn all() -> impl Iterator<Item = &'static Page> {
    PAGES.iter().chain(LEGAL)
}

/// The values of an attribute.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let begins = format!(" {attribute}=\"");
    html.split(&begins).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Served by others than the documents.
const ELSEWHERE: [&str; 7] = ["/home", "/signup", "/sign-in", "/account", "/swaggerui", "/health", "/wiki"];

fn page_at(path: &str) -> Option<&'static Page> {
    all().find(|page| page.path() == path)
}

fn is_article(path: &str) -> bool {
    path.strip_prefix("/wiki/").is_some_and(|slug| ARTICLES.iter().any(|article| article.slug == slug))
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for page in all() {
        for link in values(&page.html(), "href") {
            let (path, anchor) =
                link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
            if path.contains("://")
                || ELSEWHERE.contains(&path)
                || path.starts_with("/api/v1")
                || is_article(path)
            {
                continue;
            }
            let target = if path.is_empty() { Some(page) } else { page_at(path) };
            let target = target.unwrap_or_else(|| panic!("{}: {link} leads nowhere", page.name));
            if let Some(anchor) = anchor {
                assert!(
                    values(&target.html(), "id").contains(&anchor),
                    "{}: nothing is called {link}",
                    page.name
                );
            }
            followed += 1;
        }
        for picture in values(&page.html(), "src") {
            let name = picture.strip_prefix("/drawings/").unwrap_or_else(|| panic!("{picture} is not ours"));
            assert!(PICTURES.iter().any(|picture| picture.name == name), "{}: {picture}", page.name);
        }
        assert!(
            values(&page.html(), "alt").iter().all(|alt| alt.len() > 20),
            "{}: a picture that says nothing",
            page.name
        );
    }
    assert!(followed > 100, "{followed}");
}

#[test]
fn names_within_a_page_are_one_each() {
    for page in all() {
        let html = page.html();
        assert!(html.len() > 1000, "{}", page.name);
        let ids = values(&html, "id");
        let once: BTreeSet<_> = ids.iter().collect();
        assert_eq!(once.len(), ids.len(), "{}: {ids:?}", page.name);
        assert!(!html.contains("<script") && !html.contains("<style"), "{}", page.name);
        assert!(!html.contains(" style="), "{}", page.name);
    }
}

/// Others link to these.
#[test]
fn the_guide_has_its_sections() {
    let ids: Vec<_> = page("guide").unwrap().contents.iter().map(|heading| heading.id).collect();
    for id in ["overview", "orchestrator", "agents", "review", "hooks", "setup", "endpoints", "mcp-tools"] {
        assert!(ids.contains(&id), "{id}: {ids:?}");
    }
}

/// No code without a section, and no section without a code.
#[test]
fn every_code_is_explained() {
    let errors = page("errors").unwrap();
    let explained: Vec<_> = errors.contents.iter().map(|heading| heading.id).collect();
    let mut codes = Code::WORDS.to_vec();
    codes.sort_unstable();
    assert_eq!(explained, codes);
    for section in errors.html().split("<h2 id=\"").skip(1) {
        let code = section.split('"').next().unwrap();
        for part in ["Why:", "Next:", "For agents:"] {
            assert_eq!(section.matches(part).count(), 1, "{code}: {part}");
        }
        let lines = section.split("For agents:").nth(1).unwrap();
        assert_eq!(lines.matches("<li>").count(), 3, "{code}: three lines for agents");
    }
}

/// Each is found in its group, and among those that clients are told of.
#[test]
fn every_code_is_listed() {
    let errors = page("errors").unwrap().html();
    let groups = errors.split("<h2").next().and_then(|begin| begin.rsplit("<table").next()).unwrap();
    let mut listed = values(groups, "href");
    listed.sort_unstable();
    let mut codes: Vec<_> = Code::WORDS.iter().map(|code| format!("#{code}")).collect();
    codes.sort_unstable();
    assert_eq!(listed, codes);
    let api = page("api").unwrap().html();
    for code in Code::WORDS {
        assert!(api.contains(&format!("<code>{code}</code>")), "{code} is not among those of the API");
    }
}

#[test]
fn of_a_session_is_shown_what_was_typed() {
    let html = page("quick-start").unwrap().html();
    let typed = html.split("<b>").skip(1).filter_map(|rest| rest.split("</b>").next());
    let import = typed.clone().find(|typed| typed.contains("/import")).unwrap();
    assert!(import.lines().count() > 5 && import.ends_with('\''), "{import}");
    assert!(typed.clone().count() > 20);
}

#[test]
fn drawings_keep_to_themselves() {
    assert!(PICTURES.len() >= 2);
    for picture in PICTURES {
        let svg = picture.svg;
        assert!(svg.contains("viewBox") && svg.contains("prefers-color-scheme: dark"), "{}", picture.name);
        for foreign in ["<script", "href=", "@import", "url(http", " style=", "<!ENTITY"] {
            assert!(!svg.contains(foreign), "{}: {foreign}", picture.name);
        }
        assert!(svg.matches("<style>").count() <= 1, "{}", picture.name);
    }
}

/// Others link to these, and the server tells them.
#[test]
fn the_wiki_has_its_articles() {
    let slugs: Vec<_> = ARTICLES.iter().map(|article| article.slug).collect();
    let expected = [
        "acceptance-criteria-bindings",
        "agent-bootstrap",
        "agent-pattern",
        "api-key-role-immutable",
        "break-glass",
        "capability-tokens",
        "chain-of-custody",
        "consumed-nonce",
        "discovery",
        "dispatch-lineage",
        "expired-capability",
        "missing-capability",
        "missing-dispatch",
        "one-agent-one-role",
        "self-report-blocked",
        "self-review-blocked",
        "self-verify-blocked",
        "shared-knowledge",
        "tenant-signup",
        "verification-runs",
        "verifier-needed",
        "verify-story",
        "witness-protocol",
        "wrong-lineage",
    ];
    assert_eq!(slugs, expected);
    for article in ARTICLES {
        let slug = article.slug;
        assert_eq!(article.category, "reference", "{slug}");
        assert!(article.title.len() <= 500 && (500..100_000).contains(&article.body.len()), "{slug}");
        assert!(!article.body.starts_with('#'), "{slug}: its title stands above it");
        let is_word = |tag: &&str| tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        assert!((1..=20).contains(&article.tags.len()) && article.tags.iter().all(is_word), "{slug}");
        for link in links(article.body) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            if path.contains("://") || ELSEWHERE.contains(&path) || path.starts_with("/api/v1") {
                continue;
            }
            let is_there = match page_at(path) {
                Some(page) => anchor.is_empty() || values(&page.html(), "id").contains(&anchor),
                None => is_article(path),
            };
            assert!(is_there, "{slug}: {link} leads nowhere");
        }
        assert!(links(article.body).iter().any(|link| is_article(link)), "{slug} stands alone");
    }
    let custody = ARTICLES.iter().find(|article| article.slug == "chain-of-custody").unwrap();
    for related in ["agent-bootstrap", "agent-pattern", "tenant-signup", "discovery"] {
        assert!(links(custody.body).contains(&format!("/wiki/{related}")), "{related}");
    }
}

/// Where there is an article about a code, its section leads there.
#[test]
fn codes_with_an_article_lead_to_it() {
    let errors = page("errors").unwrap();
    let mut found = 0;
    for section in errors.html().split("<h2 id=\"").skip(1) {
        let code = section.split('"').next().unwrap();
        let there = format!("/wiki/{}", code.replace('_', "-"));
        if is_article(&there) {
            assert!(section.contains(&format!("href=\"{there}\"")), "{code}");
            found += 1;
        }
    }
    assert!(found >= 3, "{found}");
}
