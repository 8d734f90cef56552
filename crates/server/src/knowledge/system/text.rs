//! The text of an article as HTML.

use std::collections::HashSet;
use std::sync::LazyLock;

use ammonia::Builder;
use loopctl_markdown::{Link, Rules, render};

/// What an article may lead to besides other articles: pages of this server, and others' by these schemes. Everything else is words.
const ELSEWHERE: [&str; 5] = ["/", "#", "https://", "http://", "mailto:"];

/// What is left of HTML, whoever wrote it: what our own rendering makes, and no pictures, which could only come from others.
static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut cleaner = Builder::default();
    cleaner.rm_tags(["img"]).url_schemes(HashSet::from(["https", "http", "mailto"]));
    for heading in ["h2", "h3", "h4", "h5", "h6"] {
        cleaner.add_tag_attributes(heading, ["id"]);
    }
    cleaner.add_tag_attributes("div", ["tabindex"]).add_tag_attributes("pre", ["tabindex", "data-language"]);
    cleaner.add_allowed_classes("div", ["table"]).add_allowed_classes("span", ["prompt", "missing", "mark"]);
    for cell in ["th", "td"] {
        cleaner.add_allowed_classes(cell, ["left", "center", "right"]);
    }
    cleaner
});

/// Which article a link leads to, if it leads to one of this server's.
pub(super) fn article_of(link: &str) -> Option<&str> {
    let slug = link.strip_prefix("/wiki/")?;
    let slug = slug.split(['#', '?']).next().unwrap_or_default().trim_end_matches('/');
    Some(slug).filter(|slug| !slug.is_empty())
}

/// An article's text, and the slugs of the articles that it leads to and that are not there.
pub(super) struct Shown {
    pub(super) html: String,
    pub(super) missing: Vec<String>,
}

/// Makes a page of an article's Markdown. `is_there` says which articles there are.
pub(super) fn shown(markdown: &str, is_there: impl Fn(&str) -> bool) -> Shown {
    let mut article = Article { is_there, missing: Vec::new() };
    // Nothing in an article is refused.
    let html = render(markdown, &mut article).map(|rendered| rendered.html).unwrap_or_default();
    Shown { html: CLEANER.clean(&html).to_string(), missing: article.missing }
}

struct Article<F> {
    is_there: F,
    missing: Vec<String>,
}

impl<F: Fn(&str) -> bool> Rules for Article<F> {
    fn link(&mut self, to: &str) -> Result<Link, String> {
        if let Some(slug) = article_of(to).filter(|slug| !(self.is_there)(slug)) {
            self.missing.push(slug.to_owned());
            return Ok(Link::Missing);
        }
        let leads = ELSEWHERE.iter().any(|begin| to.starts_with(begin));
        Ok(if leads { Link::To(to.to_owned()) } else { Link::Words })
    }

    fn picture(&mut self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn shows_html(&mut self, _: &str) -> Result<bool, String> {
        Ok(true)
    }

    fn has_title(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(markdown: &str) -> String {
        shown(markdown, |slug| slug == "known").html
    }

    #[test]
    fn nothing_runs_and_nothing_is_loaded() {
        for evil in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[a](javascript:alert(1))",
            "[a](JaVaScRiPt:alert(1))",
            "[a](data:text/html,x)",
            "<javascript:alert(1)>",
            "![a](https://evil.example/x.png)",
            "<a href=\"javascript:alert(1)\">a</a>",
            "[a](https://b.example \"\\\" onclick=alert(1) x=\\\"\")",
            "```\"><script>alert(1)</script>\nx\n```",
            "## <svg onload=alert(1)>",
        ] {
            let html = html(evil);
            let tags: Vec<_> = html.split('<').skip(1).filter_map(|tag| tag.split('>').next()).collect();
            for tag in &tags {
                for wrong in ["script", "img", "svg", "iframe"] {
                    assert!(!tag.starts_with(wrong), "{evil}: {html}");
                }
                assert!(!tag.contains("javascript:") && !tag.contains("data:"), "{evil}: {html}");
                assert!(!tag.split('"').step_by(2).any(|name| name.contains(" on")), "{evil}: {html}");
            }
        }
    }

    #[test]
    fn what_is_ours_stays() {
        let text = "## A b\n\n[k](/wiki/known#x) [d](/docs/errors#not_found) [h](#a-b)\n\n|a|b|\n|:-:|-|\n|1|2|\n\n\
                    ```console\n$ loopctl\n```\n";
        let html = html(text);
        for part in [
            "<h2 id=\"a-b\"><a href=\"#a-b\"",
            "href=\"/wiki/known#x\"",
            "href=\"/docs/errors#not_found\"",
            "<div class=\"table\" tabindex=\"0\">",
            "<th class=\"center\">",
            "<pre tabindex=\"0\" data-language=\"console\">",
            "<span class=\"prompt\">$ </span><b>loopctl</b>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn links_to_articles_that_are_not_there_are_marked() {
        let Shown { html, missing } =
            shown("[a](/wiki/known) [b](/wiki/gone) [c](/wiki/gone#d) [e](/wiki)", |slug| slug == "known");
        assert_eq!(missing, ["gone", "gone"]);
        assert_eq!(html.matches("<span class=\"missing\">").count(), 2, "{html}");
        assert!(!html.contains("/wiki/gone") && html.contains("href=\"/wiki\""), "{html}");
    }

    proptest! {
        #[test]
        fn whatever_is_written_has_none_of_it(text in r#"([<>"'&`#|!\[\]()*_:/=\n -]|script|javascript:|onclick=|style=|[a-z]){0,80}"#) {
            let html = html(&text);
            for wrong in ["<script", "<style", "<img", "href=\"javascript"] {
                prop_assert!(!html.contains(wrong), "{}", html);
            }
        }
    }
}
