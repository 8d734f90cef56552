//! What a page has to run: its shell blocks, as commands with what they are to show.

use std::sync::LazyLock;

use regex::Regex;

/// A command of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Where it begins.
    pub(super) line: usize,
    pub(super) command: String,
    /// What it shows; of a block without outputs none, and it has to succeed.
    pub(super) shown: Option<String>,
}

/// A page, as far as it can be run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// The page that it goes on from, and the heading before which that ends.
    pub(super) after: Option<(String, Option<String>)>,
    pub(super) steps: Vec<Step>,
    /// Commands that are said not to be run.
    pub(super) not_run: Vec<Step>,
    /// Anchors and their lines.
    headings: Vec<(String, usize)>,
}

static AFTER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^<!-- after: ([^\s#]+)(?:#(\S+))? -->$").unwrap());

impl Page {
    /// Reads a page. `is_whole` says whether the shell takes some lines as complete.
    ///
    /// # Errors
    /// Names the line of a block that nobody could run.
    pub(super) fn read(text: &str, is_whole: impl Fn(&str) -> bool) -> Result<Self, String> {
        let mut page = Self::default();
        let mut lines = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            if let Some(fence) = Fence::opened_by(line) {
                let block: Vec<_> =
                    lines.by_ref().take_while(|(line, _)| !fence.is_closed_by(line)).collect();
                let block = block.iter().map(|(line, number)| (fence.without_indent(line), *number));
                let block: Vec<_> = block.collect();
                match fence.info {
                    "sh" => page.steps.extend(commands(&block, &is_whole)?),
                    "console" => page.steps.extend(session(&block, &is_whole)?),
                    "sh not-run" => page.not_run.extend(commands(&block, &is_whole)?),
                    "console not-run" => page.not_run.extend(session(&block, &is_whole)?),
                    info if is_shell(info)
                        || block.first().is_some_and(|(line, _)| line.starts_with("$ ")) =>
                    {
                        return Err(format!(
                            "line {number}: a block of `{info}` is neither run nor said not to be"
                        ));
                    }
                    _ => {}
                }
            } else if let Some(title) = line.strip_prefix('#') {
                page.headings.push((anchor(title), number));
            } else if let Some(after) = AFTER.captures(line) {
                page.after =
                    Some((after[1].to_owned(), after.get(2).map(|anchor| anchor.as_str().to_owned())));
            }
        }
        Ok(page)
    }

    /// The commands before a heading; all of them when none is named.
    pub(super) fn steps_before(&self, anchor: Option<&str>) -> Result<Vec<Step>, String> {
        let Some(anchor) = anchor else { return Ok(self.steps.clone()) };
        let heading = self.headings.iter().find(|(known, _)| known == anchor);
        let (_, end) = heading.ok_or_else(|| format!("there is no heading #{anchor}"))?;
        Ok(self.steps.iter().filter(|step| step.line < *end).cloned().collect())
    }
}

/// What would be taken for something to run.
fn is_shell(info: &str) -> bool {
    let language = info.split_whitespace().next().unwrap_or_default();
    ["sh", "console", "bash", "shell", "zsh", "shell-session"].contains(&language)
}

/// The fence at the beginning of a block.
struct Fence<'a> {
    indent: usize,
    ticks: usize,
    info: &'a str,
}

impl<'a> Fence<'a> {
    fn opened_by(line: &'a str) -> Option<Self> {
        let inner = line.trim_start();
        let info = inner.trim_start_matches('`');
        let (indent, ticks) = (line.len() - inner.len(), inner.len() - info.len());
        (ticks >= 3 && !info.contains('`')).then(|| Self { indent, ticks, info: info.trim() })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let line = line.trim();
        line.len() >= self.ticks && line.bytes().all(|byte| byte == b'`')
    }

    fn without_indent<'l>(&self, line: &'l str) -> &'l str {
        let indent = line.bytes().take(self.indent).take_while(|byte| *byte == b' ').count();
        &line[indent..]
    }
}

/// The anchor that a heading has where pages are shown.
fn anchor(title: &str) -> String {
    let title = title.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Commands one after the other.
fn commands(block: &[(&str, usize)], is_whole: &impl Fn(&str) -> bool) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = block.iter().peekable();
    while let Some(&(first, line)) = rest.next() {
        if first.trim().is_empty() || first.starts_with('#') {
            continue;
        }
        let command = whole(first, line, &mut rest, is_whole)?;
        steps.push(Step { line, command, shown: None });
    }
    Ok(steps)
}

/// Commands after a prompt, each followed by what it shows.
fn session(block: &[(&str, usize)], is_whole: &impl Fn(&str) -> bool) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = block.iter().peekable();
    while let Some(&(first, line)) = rest.next() {
        let Some(first) = first.strip_prefix("$ ") else {
            return Err(format!("line {line}: no command has shown this: {first}"));
        };
        let command = whole(first, line, &mut rest, is_whole)?;
        let mut shown = Vec::new();
        while let Some((output, _)) = rest.next_if(|(line, _)| !line.starts_with("$ ")) {
            shown.push(*output);
        }
        steps.push(Step { line, command, shown: Some(shown.join("\n")) });
    }
    Ok(steps)
}

/// A command with the lines over which it goes on.
fn whole<'a>(
    first: &str,
    line: usize,
    rest: &mut impl Iterator<Item = &'a (&'a str, usize)>,
    is_whole: &impl Fn(&str) -> bool,
) -> Result<String, String> {
    let mut command = first.to_owned();
    while !is_whole(&command) {
        let (next, _) =
            rest.next().ok_or_else(|| format!("line {line}: the command has no end: {command}"))?;
        command.push('\n');
        command.push_str(next);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::super::shell::is_whole;
    use super::*;

    fn read(text: &str) -> Result<Page, String> {
        Page::read(text, is_whole)
    }

    fn step(line: usize, command: &str, shown: Option<&str>) -> Step {
        Step { line, command: command.to_owned(), shown: shown.map(str::to_owned) }
    }

    #[test]
    fn a_page_is_its_commands() {
        let page = read(
            "# A page\n<!-- after: other.md#the-end -->\n```console\n$ echo 'a\nb'\na\nb\n$ true\n$ ls |\n    wc -l\n3\n```\n\
             ## What's `next`: it\n  ```sh\n  # Nothing.\n  A=1\n\n  for a in 1 2; do\n    echo $a\n  done\n  ```\n\
             ```sh not-run\nmake serve\n```\n```json\n{}\n```\n````markdown\n```sh\nrm -rf /\n```\n````\n",
        );
        let page = page.unwrap();
        assert_eq!(page.after, Some(("other.md".to_owned(), Some("the-end".to_owned()))));
        assert_eq!(
            page.steps,
            [
                step(4, "echo 'a\nb'", Some("a\nb")),
                step(8, "true", Some("")),
                step(9, "ls |\n    wc -l", Some("3")),
                step(16, "A=1", None),
                step(18, "for a in 1 2; do\n  echo $a\ndone", None),
            ]
        );
        assert_eq!(page.not_run, [step(23, "make serve", None)]);
        assert_eq!(page.steps_before(None).unwrap(), page.steps);
        assert_eq!(page.steps_before(Some("whats-next-it")).unwrap(), page.steps[..3]);
        assert!(page.steps_before(Some("elsewhere")).is_err());
    }

    #[test]
    fn a_command_goes_on_until_the_shell_takes_it() {
        for whole in ["true", "a() { true; }", "cat <<< x", "echo \\\\", "cat << E\nx\nE", "fi", "echo ')'"] {
            assert!(is_whole(whole), "{whole}");
        }
        for part in [
            "echo 'a",
            "echo \"",
            "true |",
            "true &&",
            "a() {",
            "A=$(true",
            "echo \\",
            "cat << E\nx",
            "if a; then",
        ] {
            assert!(!is_whole(part), "{part}");
        }
    }

    #[test]
    fn what_nobody_could_run_is_named() {
        for (text, why) in [
            ("```console\nhello\n```", "line 2: no command has shown this: hello"),
            ("```console\n$ echo 'a\n```", "line 2: the command has no end: echo 'a"),
            ("```sh\n\nif true; then\n```", "line 3: the command has no end: if true; then"),
            ("\n```bash\nls\n```", "line 2: a block of `bash` is neither run nor said not to be"),
            ("```sh notrun\nls\n```", "line 1: a block of `sh notrun` is neither run nor said not to be"),
            ("```\n$ ls\n```", "line 1: a block of `` is neither run nor said not to be"),
        ] {
            assert_eq!(read(text), Err(why.to_owned()));
        }
    }
}
