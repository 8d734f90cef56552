//! Skills as files: Markdown, with or without a name and a description before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A skill as a file has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SkillFile {
    /// Its own, or that of its file.
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) prompt: String,
}

/// Reads one file.
pub(crate) fn read(path: &Path) -> Result<SkillFile, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::Usage(format!("Cannot read {}: {error}", path.display())))?;
    let (members, prompt) = split(text.strip_prefix('\u{feff}').unwrap_or(&text));
    if prompt.trim().is_empty() {
        return Err(Error::Usage(format!("{} holds no prompt", path.display())));
    }
    let member = |name: &str| members.get(name).filter(|value| !value.is_empty()).cloned();
    let name = member("name").unwrap_or_else(|| file_name(path));
    Ok(SkillFile { name, description: member("description"), prompt: prompt.to_owned() })
}

/// Reads every Markdown file below a directory, in the order of their paths, each with its path there. What cannot be read, and a name
/// that is there twice, are mistakes.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<(String, SkillFile)>, Error> {
    let mut paths = Vec::new();
    below(dir, &mut paths)?;
    paths.sort();
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    let mut skills = Vec::new();
    for path in paths {
        let skill = read(&path)?;
        let place = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        if let Some(other) = places.insert(skill.name.clone(), place.clone()) {
            return Err(Error::Usage(format!("{other} and {place} both hold the skill {}", skill.name)));
        }
        skills.push((place, skill));
    }
    if skills.is_empty() {
        return Err(Error::Usage(format!("There is no .md file in {}", dir.display())));
    }
    Ok(skills)
}

/// Hidden files and directories are not looked at, and links to directories not followed.
fn below(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Usage(format!("Cannot read {}: {error}", dir.display()));
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type().map_err(failed)?.is_dir() {
            below(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("md")) {
            found.push(path);
        }
    }
    Ok(())
}

/// What stands between two lines `---` at the beginning, and the rest. Without the second one all of it is the rest.
fn split(text: &str) -> (BTreeMap<&str, String>, &str) {
    let none = (BTreeMap::new(), without_blank_lines(text));
    let mut lines = text.split_inclusive('\n');
    if lines.next().map(str::trim_end) != Some("---") {
        return none;
    }
    let mut members = BTreeMap::new();
    for line in lines.by_ref() {
        if line.trim_end() == "---" {
            let rest = lines.map(str::len).sum::<usize>();
            return (members, without_blank_lines(&text[text.len() - rest..]));
        }
        if let Some((key, value)) = line.split_once(':') {
            members.insert(key.trim(), unquoted(value.trim()).to_owned());
        }
    }
    none
}

fn without_blank_lines(mut text: &str) -> &str {
    while let Some((line, rest)) = text.split_once('\n')
        && line.trim().is_empty()
    {
        text = rest;
    }
    text
}

fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

/// What a file is called, or the directory of a `SKILL.md`.
fn file_name(path: &Path) -> String {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().replace('_', "-"));
    let is_directory = path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("skill.md"));
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let directory =
        full.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().replace('_', "-"));
    directory.filter(|_| is_directory).or_else(|| stem(path)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_prompt_is_not_part_of_it() {
        let read = |text: &str| {
            let (members, prompt) = split(text);
            let members: Vec<_> = members.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            (members.join(" "), prompt.to_owned())
        };
        let plain = |prompt: &str| (String::new(), prompt.to_owned());
        for (text, expected) in [
            (
                "---\nname: a:b\ndescription: \"Says: it\"\n---\n\n \nText\n---\n",
                ("description=Says: it name=a:b".to_owned(), "Text\n---\n".to_owned()),
            ),
            ("---\r\nname: 'a'\r\n---\r\nText\r\n", ("name=a".to_owned(), "Text\r\n".to_owned())),
            ("---\n---\nText", plain("Text")),
            ("---\nname: \"\n---\nText", ("name=\"".to_owned(), "Text".to_owned())),
            // It has no end, so it is none.
            ("---\nname: a\nText", plain("---\nname: a\nText")),
            ("\n\n  Text\n", plain("  Text\n")),
            ("Text\n---\nname: a\n---\n", plain("Text\n---\nname: a\n---\n")),
            ("", plain("")),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn files_without_a_name_give_theirs() {
        for (path, name) in
            [("x/my_review.md", "my-review"), ("x/code_review/SKILL.md", "code-review"), ("a.b.MD", "a.b")]
        {
            assert_eq!(file_name(Path::new(path)), name);
        }
    }

    #[test]
    fn a_directory_is_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let mistake = || match read_all(dir.path()) {
            Err(Error::Usage(text)) => text,
            other => panic!("{other:?}"),
        };
        write("notes.txt", "no skill");
        write(".hidden/one.md", "no skill");
        assert!(mistake().starts_with("There is no .md file in "));
        write("b/deep/SKILL.md", "Deep");
        write("a_first.md", "\u{feff}---\nname: first\n---\nFirst");
        let skills = read_all(dir.path()).unwrap();
        let names: Vec<_> =
            skills.iter().map(|(place, skill)| (place.as_str(), skill.name.as_str())).collect();
        assert_eq!(names, [("a_first.md", "first"), ("b/deep/SKILL.md", "deep")]);
        write("first.md", "Another");
        assert_eq!(mistake(), "a_first.md and first.md both hold the skill first");
        write("first.md", "---\nname: second\n---\n \n");
        assert!(mistake().ends_with("first.md holds no prompt"));
        std::fs::write(dir.path().join("first.md"), b"\xff").unwrap();
        assert!(mistake().starts_with("Cannot read "));
    }
}
