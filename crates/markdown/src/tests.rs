use proptest::prelude::*;

use super::*;

/// Articles know one slug, and nothing else.
#[derive(Default)]
struct Article {
    titled: bool,
}

impl Rules for Article {
    fn link(&mut self, to: &str) -> Result<Link, String> {
        Ok(match to {
            "/wiki/known" => Link::To(to.to_owned()),
            to if to.starts_with("/wiki/") => Link::Missing,
            _ => Link::Words,
        })
    }

    fn picture(&mut self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn shows_html(&mut self, html: &str) -> Result<bool, String> {
        Ok(!html.starts_with("<!--"))
    }

    fn has_title(&self) -> bool {
        self.titled
    }
}

fn html(markdown: &str) -> String {
    render(markdown, &mut Article::default()).unwrap().html
}

/// However deep a text nests, what comes of it is of bounded depth, and everything that it says is there.
#[test]
fn nothing_is_deeper_than_it_may_be() {
    for (open, close) in [("> ", ""), (">", ""), ("- ", ""), ("* > ", ""), ("**a *b ", "* **"), ("1. ", "")] {
        let text = format!("{}deep down{}", open.repeat(3000), close.repeat(3000));
        let html = html(&text);
        let (mut depth, mut deepest) = (0_usize, 0);
        for tag in html.split('<').skip(1).filter(|tag| !tag.starts_with("hr") && !tag.starts_with("br")) {
            depth = if tag.starts_with('/') { depth.saturating_sub(1) } else { depth + 1 };
            deepest = deepest.max(depth);
        }
        assert!((1..=DEEPEST).contains(&deepest) && depth == 0, "{open}: {deepest}");
        assert!(html.contains("deep down"), "{open}");
    }
}

#[test]
fn links_lead_somewhere_or_say_that_they_do_not() {
    assert_eq!(html("[a](/wiki/known)"), "<p><a href=\"/wiki/known\">a</a></p>\n");
    assert_eq!(html("[a](javascript:x)"), "<p>a</p>\n");
    let missing = html("[*a*](/wiki/unknown) b");
    assert_eq!(
        missing,
        "<p><span class=\"missing\"><em>a</em> <span class=\"mark\">(no such article)</span></span> b</p>\n"
    );
    assert_eq!(html("![a *b*](x.png)"), "<p>a <em>b</em></p>\n");
    assert_eq!(
        html("## [a](/wiki/known)"),
        "<h2 id=\"a\"><a href=\"#a\">a</a></h2>\n",
        "no link within a link"
    );
}

#[test]
fn html_is_what_it_looks_like() {
    assert_eq!(html("a <b>c</b>"), "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n");
    assert_eq!(html("<script>x</script>\n"), "<p>&lt;script&gt;x&lt;/script&gt;\n</p>\n");
    assert_eq!(html("<!-- a -->\n"), "");
    assert_eq!(html("## <b> c <!-- d -->"), "<h2 id=\"b-c-\"><a href=\"#b-c-\">&lt;b&gt; c </a></h2>\n");
    assert_eq!(html("## ?"), "<h2 id=\"section\"><a href=\"#section\">?</a></h2>\n");
    assert!(!html("```a\"onclick=\"x\nb\n```").contains("\"onclick"), "within an attribute");
}

#[test]
fn headings_are_numbered_where_they_are_the_same() {
    let page = render("# A\n## b c\n## b c\n### d", &mut Article { titled: true }).unwrap();
    assert_eq!(page.title, "A");
    let ids: Vec<_> = page.contents.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["b-c", "b-c-1"]);
    assert!(page.html.contains("<h3 id=\"d\">") && !page.html.contains("<h1"));
    assert!(html("# A").starts_with("<h2 id=\"a\">"));
}

#[test]
fn sides_of_columns_are_no_styles() {
    let table = html("|a|b|\n|:-:|--:|\n|1|2|");
    assert!(table.contains("<th class=\"center\">a</th><th class=\"right\">b</th>"), "{table}");
    assert!(table.starts_with("<div class=\"table\" tabindex=\"0\">") && !table.contains("style"));
}

#[test]
fn a_summary_is_the_first_paragraph() {
    assert_eq!(summary("# T\n\nOne `two`\n[three](/x).\n\nFour.", 100), "One two three.");
    assert_eq!(summary("One two, three four", 9), "One two…");
    assert_eq!(summary("äöüß äöüß", 6), "äöüß…");
    assert_eq!(summary("# T\n- a", 9), "");
    assert_eq!(
        links("[a](/wiki/a) <https://b.example>\n\n[c]\n\n[c]: /docs/c"),
        ["/wiki/a", "https://b.example", "/docs/c"]
    );
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_runs(text in r#"([<>&`#|!\[\]()*_:/"\n -]|<script|<style|<b onclick=x|\PC){0,80}"#) {
        let page = html(&text);
        // What is shown as text has no brackets of its own.
        for tag in page.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            let is_wrong = ["script", "style", "iframe"].iter().any(|name| tag.starts_with(name));
            prop_assert!(!is_wrong && !tag.contains(" onclick=") && !tag.contains(" style="), "{}", page);
        }
        let _ = (summary(&text, 20), links(&text));
    }
}
