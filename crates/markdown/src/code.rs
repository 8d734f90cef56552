//! Blocks of code.

use pulldown_cmark::CodeBlockKind;

/// A block of code. In a session with a shell, what is typed is told from what is answered.
pub(crate) fn block(kind: &CodeBlockKind<'_>, code: &str) -> String {
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
    let language = escaped(language);
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
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
