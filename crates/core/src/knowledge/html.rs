//! Web pages as text: what people read of them, with headings, lists and code as Markdown has them. A page is read from its first
//! byte to its last, and no tree is built of it: however deep and tangled it is, it takes as long as it is long.

use std::mem::take;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

/// What is not the page's text, with everything in it.
const SKIPPED: [&[u8]; 9] =
    [b"script", b"style", b"nav", b"template", b"noscript", b"svg", b"iframe", b"object", b"select"];

/// What begins a paragraph, and ends one.
const BLOCKS: [&[u8]; 24] = [
    b"p",
    b"div",
    b"section",
    b"article",
    b"header",
    b"footer",
    b"main",
    b"aside",
    b"ul",
    b"ol",
    b"table",
    b"blockquote",
    b"form",
    b"fieldset",
    b"figure",
    b"figcaption",
    b"dl",
    b"address",
    b"details",
    b"summary",
    b"hr",
    b"body",
    b"title",
    b"center",
];

/// What begins a line.
const LINES: [&[u8]; 5] = [b"br", b"tr", b"dt", b"dd", b"option"];

/// The text of a page.
pub fn page_text(html: &str) -> String {
    let mut page = Page::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<()> {
        match event {
            CallbackEvent::OpenStartTag { name } => page.name = name.to_vec(),
            CallbackEvent::CloseStartTag { self_closing } => {
                let name = take(&mut page.name);
                page.begin(&name, self_closing);
            }
            CallbackEvent::EndTag { name } => page.end(name),
            CallbackEvent::String { value } => page.text(&String::from_utf8_lossy(value)),
            _ => {}
        }
        None
    });
    // What is written in scripts and the like is no HTML.
    emitter.naively_switch_states(true);
    for event in Tokenizer::new_with_emitter(html, emitter) {
        // Nothing is yielded, and texts can always be read.
        let Ok(()) = event;
    }
    page.finish()
}

#[derive(Default)]
struct Page {
    out: String,
    title: String,
    /// The tag that is being read.
    name: Vec<u8>,
    /// What is left out, and how deep in it the reader is.
    skipped: Option<(Vec<u8>, usize)>,
    in_title: bool,
    /// Within a heading, which is a line.
    in_heading: bool,
    /// How deep in preformatted text.
    pre: usize,
    /// Line breaks, and a blank, that are due before the next text.
    breaks: usize,
    blank: bool,
    has_h1: bool,
}

impl Page {
    fn begin(&mut self, name: &[u8], self_closing: bool) {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth += usize::from(skipped == name);
            return;
        }
        if SKIPPED.contains(&name) {
            // Only drawings can be closed so.
            if !(self_closing && name == b"svg") {
                self.skipped = Some((name.to_vec(), 1));
            }
            return;
        }
        match name {
            b"title" => self.in_title = true,
            [b'h', level @ b'1'..=b'6'] => {
                self.break_lines(2);
                self.has_h1 |= *level == b'1';
                self.put(&"#".repeat(usize::from(level - b'0')));
                (self.in_heading, self.blank) = (true, true);
            }
            b"pre" => {
                if self.pre == 0 {
                    self.break_lines(2);
                    self.put("```");
                    self.breaks = 1;
                }
                self.pre += 1;
            }
            b"li" => {
                self.break_lines(1);
                self.put("-");
                self.blank = true;
            }
            b"td" | b"th" => self.blank = true,
            _ => self.seam(name),
        }
    }

    fn end(&mut self, name: &[u8]) {
        if let Some((skipped, depth)) = &mut self.skipped {
            if skipped == name {
                *depth -= 1;
                if *depth == 0 {
                    self.skipped = None;
                    self.blank = true;
                }
            }
            return;
        }
        match name {
            b"title" => self.in_title = false,
            [b'h', b'1'..=b'6'] => {
                self.in_heading = false;
                self.break_lines(2);
            }
            b"pre" if self.pre > 0 => {
                self.pre -= 1;
                if self.pre == 0 {
                    self.breaks = 1;
                    self.put("```");
                    self.break_lines(2);
                }
            }
            b"li" => self.break_lines(1),
            _ => self.seam(name),
        }
    }

    fn seam(&mut self, name: &[u8]) {
        if BLOCKS.contains(&name) {
            self.break_lines(2);
        } else if LINES.contains(&name) {
            self.break_lines(1);
        }
    }

    fn break_lines(&mut self, lines: usize) {
        if self.in_heading {
            self.blank = true;
        } else {
            (self.breaks, self.blank) = (self.breaks.max(lines), false);
        }
    }

    fn text(&mut self, text: &str) {
        if self.skipped.is_some() {
            return;
        }
        if self.in_title {
            self.title.push_str(text);
        } else if self.pre > 0 {
            self.put(text);
        } else {
            self.blank |= text.starts_with(char::is_whitespace);
            for word in text.split_whitespace() {
                self.put(word);
                self.blank = true;
            }
            self.blank &= text.ends_with(char::is_whitespace);
        }
    }

    /// Adds what there is to be read, with what is due before it.
    fn put(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let at_start = self.out.is_empty() || self.out.ends_with('\n');
        let (breaks, blank) = (take(&mut self.breaks), take(&mut self.blank));
        if breaks > 0 && !self.out.is_empty() {
            self.out.truncate(self.out.trim_end().len());
            self.out.push_str(&"\n\n"[..breaks.min(2)]);
        } else if blank && !at_start {
            self.out.push(' ');
        }
        self.out.push_str(text);
    }

    fn finish(mut self) -> String {
        if self.pre > 0 {
            self.breaks = 1;
            self.put("```");
        }
        self.out.truncate(self.out.trim_end().len());
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.has_h1 || title.is_empty() || self.out.is_empty() {
            return self.out;
        }
        format!("# {title}\n\n{}", self.out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_read() {
        for (html, text) in [
            ("", ""),
            ("plain  text", "plain text"),
            ("a<b>b</b> c <i>d</i>e", "ab c de"),
            ("<p>One</p><p>Two<br>three", "One\n\nTwo\nthree"),
            ("<h1>A <em>b</em><br>c</h1>text", "# A b c\n\ntext"),
            ("<ul><li>one<li>two</ul>x", "- one\n- two\n\nx"),
            ("AT&amp;T &lt;b&gt; &eacute; &#x1F600; &nosuch; &", "AT&T <b> é 😀 &nosuch; &"),
            ("<pre>fn a() {\n    b\n}</pre>after", "```\nfn a() {\n    b\n}\n```\n\nafter"),
            ("<table><tr><td>a<td>b</tr><tr><td>c</table>", "a b\nc"),
            ("<title>T &amp; t</title><p>x", "# T & t\n\nx"),
            ("<title>T</title><h1>H</h1>", "# H"),
        ] {
            assert_eq!(page_text(html), text, "{html}");
        }
    }

    #[test]
    fn what_is_no_text_of_the_page() {
        for html in [
            "<script>if (a < b) { '<p>no</p>' }</script>yes",
            "<style>p > a {}</style>yes",
            "<nav>no <nav>no</nav> no</nav>yes",
            "<svg/>yes",
            "<svg><text>no</text></svg>yes",
            "<!-- no --><!doctype html><a href='no' title='no'>yes</a>",
            "<SCRIPT>no</SCRIPT >yes",
            "<template><p>no</p></template>yes",
        ] {
            assert_eq!(page_text(html), "yes", "{html}");
        }
    }

    #[test]
    fn no_depth_is_too_deep() {
        let deep = format!("{}x", "<div><b><nav></nav>".repeat(100_000));
        assert_eq!(page_text(&deep), "x");
        assert_eq!(page_text(&format!("{}x", "<pre>".repeat(50_000))), "```\nx\n```");
        assert_eq!(page_text(&"<a ".repeat(200_000)), "");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_grows(html in "(<[/a-z1-6 ='\">]{0,8}|&[a-z#0-9;]{0,8}|\\PC|</?(pre|h2|nav|li)>){0,80}") {
            let text = page_text(&html);
            prop_assert!(text.len() <= 4 * html.len() + 16);
            prop_assert_eq!(text.trim_end(), &text);
        }
    }
}
