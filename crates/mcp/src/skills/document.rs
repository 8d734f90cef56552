//! A version of a skill as a file `SKILL.md`: where it is, what stands at its beginning, and all of it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rmcp::model::{Resource, ResourceContents, Skill, SkillFrontmatter, SkillResource, SkillResources};
use serde::Deserialize;
use serde_json::json;
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

/// What it is written in.
const MARKDOWN: &str = "text/markdown";
/// Characters of a skill's name, and of what is said about it, where skills are files.
const LONGEST_NAME: usize = 64;
const LONGEST_DESCRIPTION: usize = 1024;
/// What a segment of an address is not made of.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

/// A skill as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Known {
    pub(super) id: Uuid,
    name: String,
    description: Option<String>,
    pub(super) current_version: i64,
    pub(super) status: String,
    project_id: Option<Uuid>,
}

/// A version of it.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    id: Uuid,
    version: i64,
    prompt_text: String,
}

/// A skill as a file.
#[derive(Debug)]
pub(super) struct Document {
    uri: String,
    frontmatter: SkillFrontmatter,
    text: String,
}

impl Known {
    /// What it is called as a file: words of lowercase letters and digits, with hyphens between them. Several skills may be called the
    /// same; one of which no letter is left is called by its id.
    fn label(&self) -> String {
        let lower = self.name.nfkc().collect::<String>().to_lowercase();
        let words: Vec<_> =
            lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let label: String = words.join("-").chars().take(LONGEST_NAME).collect();
        let label = label.trim_end_matches('-');
        let (frontmatter, resources) = (SkillFrontmatter::new(label, "-"), SkillResources::Dynamic);
        // Which letters there may be is for the protocol to say.
        match Skill::new(self.at(label), frontmatter, resources).validate() {
            Ok(()) => label.to_owned(),
            Err(_) => format!("skill-{}", self.id.simple()),
        }
    }

    fn at(&self, label: &str) -> String {
        format!("skill://{}/{}/SKILL.md", self.id, utf8_percent_encode(label, SEGMENT))
    }

    /// Where it is: its id, because names are unique in a project only, and its label, in which the protocol wants addresses to end.
    pub(super) fn uri(&self) -> String {
        self.at(&self.label())
    }

    fn description(&self) -> String {
        let said = self.description.as_deref().unwrap_or_default().trim();
        if said.is_empty() {
            return format!("The skill {} of loopctl, version {}.", self.name, self.current_version);
        }
        if said.chars().count() <= LONGEST_DESCRIPTION {
            return said.to_owned();
        }
        said.chars().take(LONGEST_DESCRIPTION - 1).chain(['…']).collect()
    }

    /// As it is listed among resources, without having been read.
    pub(super) fn resource(&self) -> Resource {
        Resource::new(self.uri(), self.label())
            .with_title(&self.name)
            .with_description(self.description())
            .with_mime_type(MARKDOWN)
    }
}

/// The skill that an address names, if it names one.
pub(super) fn id_of(uri: &str) -> Option<Uuid> {
    let (id, _) = uri.strip_prefix("skill://")?.split_once('/')?;
    crate::arguments::canonical(id)
}

impl Document {
    pub(super) fn new(skill: &Known, version: &Version) -> Self {
        let mut metadata = vec![
            ("loopctl_name", skill.name.clone()),
            ("version", version.version.to_string()),
            ("skill_version_id", version.id.to_string()),
        ];
        metadata.extend(skill.project_id.map(|id| ("project_id", id.to_string())));
        let (name, description) = (skill.label(), skill.description());
        let mut text =
            format!("---\nname: {}\ndescription: {}\nmetadata:\n", quoted(&name), quoted(&description));
        for (key, value) in &metadata {
            text.push_str(&format!("  {key}: {}\n", quoted(value)));
        }
        text.push_str("---\n\n");
        text.push_str(&version.prompt_text);
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
        let frontmatter = SkillFrontmatter::new(name, description)
            .with_field("metadata", serde_json::Value::Object(metadata));
        Self { uri: skill.uri(), frontmatter, text }
    }

    /// What is told of it: the digest is that of what [`Self::contents`] has.
    pub(super) fn entry(&self) -> Skill {
        let file = SkillResource::from_bytes(&self.uri, self.text.as_bytes());
        Skill::new(&self.uri, self.frontmatter.clone(), SkillResources::Files(vec![file]))
    }

    /// The file.
    pub(super) fn contents(self) -> ResourceContents {
        ResourceContents::text(self.text, self.uri).with_mime_type(MARKDOWN)
    }
}

/// A text as YAML has it between quotes, on one line: like JSON, but for characters that JSON leaves as they are and YAML does not
/// take, or takes for the end of a line.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in json!(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => quoted.push(c),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rmcp::model::is_sha256_digest;
    use serde_json::Value;

    use super::*;

    fn skill(name: &str, description: Option<&str>) -> Known {
        Known {
            id: Uuid::from_u128(0x0192_aaaa_0000_7000_8000_0000_0000_00f1),
            name: name.to_owned(),
            description: description.map(str::to_owned),
            current_version: 3,
            status: "active".to_owned(),
            project_id: None,
        }
    }

    fn version(prompt: &str) -> Version {
        Version { id: Uuid::from_u128(7), version: 3, prompt_text: prompt.to_owned() }
    }

    /// What another program finds at the beginning of a file, and the rest of it.
    fn read(text: &str) -> (Value, &str) {
        let (frontmatter, rest) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
        (serde_saphyr::from_str(frontmatter).unwrap(), rest.strip_prefix('\n').unwrap())
    }

    #[test]
    fn a_version_is_a_file() {
        let document =
            Document::new(&skill("loopctl:review", Some("Says: \"look\"")), &version("# Review\n"));
        assert_eq!(
            document.text,
            "---\nname: \"loopctl-review\"\ndescription: \"Says: \\\"look\\\"\"\nmetadata:\n  loopctl_name: \"loopctl:review\"\n  \
             version: \"3\"\n  skill_version_id: \"00000000-0000-0000-0000-000000000007\"\n---\n\n# Review\n"
        );
        assert_eq!(document.uri, "skill://0192aaaa-0000-7000-8000-0000000000f1/loopctl-review/SKILL.md");
        let of_project = Known { project_id: Some(Uuid::from_u128(9)), ..skill("x", None) };
        let document = Document::new(&of_project, &version(""));
        assert_eq!(
            document.frontmatter.extra["metadata"]["project_id"],
            "00000000-0000-0000-0000-000000000009"
        );
    }

    #[test]
    fn names_become_labels() {
        for (name, label) in [
            ("loopctl:verify-artifacts", "loopctl-verify-artifacts"),
            ("  --A__b / c--", "a-b-c"),
            ("Über Café", "über-café"),
            ("U\u{308}ber", "über"),
            ("コードレビュー", "コードレビュー"),
            ("½ ①", "1-2-1"),
        ] {
            assert_eq!(skill(name, None).label(), label);
        }
        assert_eq!(skill(&"abc ".repeat(40), None).label().len(), 63, "no hyphen is left at the end");
        // Nothing that may be in a label, and vowel signs, which may not.
        for name in ["!?", "हिन्दी"] {
            assert_eq!(skill(name, None).label(), "skill-0192aaaa0000700080000000000000f1");
        }
        assert!(skill("é", None).uri().ends_with("/%C3%A9/SKILL.md"));
    }

    #[test]
    fn what_is_said_about_it_is_never_empty_and_never_long() {
        for nothing in [None, Some(""), Some(" \n")] {
            assert_eq!(skill("a:b", nothing).description(), "The skill a:b of loopctl, version 3.");
        }
        let (most, more) = ("é".repeat(LONGEST_DESCRIPTION), "é".repeat(LONGEST_DESCRIPTION + 1));
        assert_eq!(skill("a", Some(&most)).description(), most);
        let cut = skill("a", Some(&more)).description();
        assert_eq!((cut.chars().count(), cut.chars().last()), (LONGEST_DESCRIPTION, Some('…')));
    }

    #[test]
    fn addresses_that_name_no_skill() {
        let id = "0192aaaa-0000-7000-8000-0000000000f1";
        assert_eq!(id_of(&skill("a", None).uri()), Some(Uuid::try_parse(id).unwrap()));
        for uri in [
            "",
            "skill://",
            "skill:///SKILL.md",
            "skill://a/SKILL.md",
            "file:///etc/passwd",
            id,
            "skill://0192aaaa0000700080000000000000f1/a/SKILL.md",
            "skill://../0192/SKILL.md",
            &format!("skill://{id}"),
            &format!("https://{id}/a/SKILL.md"),
        ] {
            assert_eq!(id_of(uri), None, "{uri}");
        }
    }

    proptest! {
        /// Whatever people write: another program reads the same, the entry says the same, and the protocol takes it.
        #[test]
        fn others_read_what_was_written(
            name in r"(\PC|[A-Za-z:_ -]){1,255}",
            description in proptest::option::of(prop_oneof![
                any::<String>(),
                r#"[\x00-\x1f\x7f-\xa0\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}"'\\#:\-\n\t {}\[\]&*!|>%@`]{0,60}"#,
                Just("a\n---\nname: other".to_owned()),
                Just("\u{1f600}\u{10ffff}\u{1fffe}".to_owned()),
            ]),
            prompt in any::<String>(),
        ) {
            let skill = skill(&name, description.as_deref());
            let document = Document::new(&skill, &version(&prompt));
            let entry = document.entry();
            prop_assert_eq!(entry.validate(), Ok(()));
            let SkillResources::Files(files) = &entry.resources else { panic!("{entry:?}") };
            let (frontmatter, rest) = read(&document.text);
            prop_assert_eq!(&frontmatter, &serde_json::to_value(&entry.frontmatter).unwrap());
            prop_assert_eq!(&frontmatter["metadata"]["loopctl_name"], &json!(name));
            prop_assert_eq!(rest, prompt);
            prop_assert!(is_sha256_digest(&files[0].digest));
            prop_assert_eq!(files[0].verify(document.text.as_bytes()), Ok(()));
            prop_assert_eq!(id_of(&entry.uri), Some(skill.id));
        }
    }
}
