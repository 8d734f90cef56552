//! What is found in a text without asking anybody: `local-rules-v1`. The same text always yields the same.

use std::collections::HashMap;

use super::candidates::{Candidate, MOST_OF_CONTENT};
use super::chunks::parts;
use super::sections::{heading, sections};
use super::stems::{stems, words};
use super::{Category, MAX_BODY, Tags};

/// What articles say that were found so.
pub const LOCAL_RULES: &str = "local_rules_v1";

/// A section with fewer characters is part of the one before.
const SHORT: usize = 200;
/// The most characters of a title that is a sentence.
const SENTENCE: usize = 120;
/// The most tags that are found in a text.
const FOUND_TAGS: usize = 5;
/// A shorter stem says nothing.
const SHORTEST_TAG: usize = 3;

/// Words, or words that follow each other, by which it is known what a text is about; the first kind counts.
const CUES: [(Category, &[&str]); 4] = [
    (Category::Convention, &["must", "always", "never", "convention"]),
    (Category::Decision, &["decided", "chose", "trade off", "tradeoff"]),
    (Category::Finding, &["bug", "regression", "incident", "root cause"]),
    (Category::Pattern, &["pattern", "approach", "how to"]),
];

/// A review as far as something can be learned from it.
#[derive(Debug, Clone)]
pub struct ReviewSummary {
    /// Which kind.
    pub review_type: String,
    /// What was found.
    pub findings_count: i32,
    /// What was mended of it.
    pub fixes_count: i32,
    /// What the reviewer says of it.
    pub summary: Option<String>,
}

/// A candidate for each section of a text, at most ten.
pub fn of_content(text: &str) -> Vec<Candidate> {
    let sections = grouped(text).into_iter().filter(|section| !section.text.trim().is_empty());
    let candidates = sections.flat_map(|section| {
        let (title, category, tags) =
            (title_of(section.named_by), category(section.text), tags(section.text));
        parts(section.text, MAX_BODY).into_iter().zip(1..).map(move |(body, nth)| Candidate {
            title: if nth == 1 { title.clone() } else { format!("{title} ({nth})") },
            body: body.trim().to_owned(),
            category: category.as_str().to_owned(),
            tags: tags.clone(),
        })
    });
    candidates.take(MOST_OF_CONTENT).collect()
}

/// The candidate of a review that found something and says what.
pub fn of_review(review: &ReviewSummary) -> Option<Candidate> {
    let ReviewSummary { review_type, findings_count, fixes_count, summary } = review;
    let summary =
        summary.as_deref().map(str::trim).filter(|summary| !summary.is_empty() && *findings_count > 0)?;
    let slug = words(review_type).join("-");
    let tags = ["review", slug.as_str()].into_iter().filter(|tag| Tags::check(tag).is_ok());
    Some(Candidate {
        title: title_of(summary),
        body: format!(
            "Review type: {review_type}\nFindings: {findings_count}, fixes: {fixes_count}\n\n{summary}"
        ),
        category: Category::Finding.as_str().to_owned(),
        tags: tags.map(str::to_owned).collect(),
    })
}

/// A section, with those that are too short to stand alone.
struct Section<'a> {
    text: &'a str,
    /// The one that has its title.
    named_by: &'a str,
}

fn grouped(text: &str) -> Vec<Section<'_>> {
    let is_short = |section: &str| section.chars().nth(SHORT - 1).is_none();
    let (mut groups, mut begins, mut at): (Vec<Section<'_>>, _, _) = (Vec::new(), 0, 0);
    for section in sections(text, 3) {
        let end = at + section.len();
        match groups.last_mut() {
            Some(last) if is_short(section) => last.text = &text[begins..end],
            // The first one has none before it: it goes with the next.
            Some(last) if is_short(last.text) => {
                *last = Section { text: &text[begins..end], named_by: section }
            }
            _ => {
                begins = at;
                groups.push(Section { text: section, named_by: section });
            }
        }
        at = end;
    }
    groups
}

/// The heading, or else the first sentence.
fn title_of(section: &str) -> String {
    let first = section.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    match heading(first).filter(|title| !title.is_empty()) {
        Some(title) => shortened(title),
        None => {
            let text = section.lines().map(plain).find(|line| !line.is_empty()).unwrap_or_default();
            shortened(sentence(text))
        }
    }
}

/// A line without what marks it as something in Markdown.
fn plain(line: &str) -> &str {
    line.trim_start_matches(|letter: char| letter.is_whitespace() || "#>*-+=`~|".contains(letter)).trim_end()
}

fn sentence(text: &str) -> &str {
    let ends = text.char_indices().find(|(at, letter)| {
        let after = text[at + letter.len_utf8()..].chars().next();
        matches!(letter, '.' | '!' | '?') && after.is_none_or(char::is_whitespace)
    });
    let end = ends.map_or(text.len(), |(at, letter)| if letter == '.' { at } else { at + 1 });
    &text[..end]
}

/// A title of at most 120 characters, cut between words where that will do.
fn shortened(title: &str) -> String {
    if title.chars().nth(SENTENCE).is_none() {
        return title.to_owned();
    }
    let end = title.char_indices().nth(SENTENCE - 1).map_or(title.len(), |(at, _)| at);
    let cut = title[..end].rfind(' ').filter(|at| *at > end / 2).unwrap_or(end);
    format!("{}…", title[..cut].trim_end())
}

fn category(text: &str) -> Category {
    let text = format!(" {} ", words(text).join(" "));
    let says = |cue: &&str| text.contains(&format!(" {cue} ")) || text.contains(&format!(" {cue}s "));
    let cued = CUES.iter().find(|(_, cues)| cues.iter().any(says));
    cued.map_or(Category::Reference, |(category, _)| *category)
}

/// The stems that a text has most often; of two as often, that which comes first.
fn tags(text: &str) -> Vec<String> {
    let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
    for (nth, stem) in stems(text).into_iter().enumerate() {
        counts.entry(stem).or_insert((0, nth)).0 += 1;
    }
    let may_be = |stem: &str| {
        stem.len() >= SHORTEST_TAG
            && stem.bytes().any(|byte| byte.is_ascii_alphabetic())
            && Tags::check(stem).is_ok()
    };
    let mut stems: Vec<_> = counts.into_iter().filter(|(stem, _)| may_be(stem)).collect();
    stems.sort_unstable_by_key(|(_, (count, nth))| (std::cmp::Reverse(*count), *nth));
    stems.into_iter().take(FOUND_TAGS).map(|(stem, _)| stem).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::candidates::accepted;
    use super::*;

    #[test]
    fn a_text_without_headings_is_one() {
        let text = "We decided to keep sums by triggers. They run once for each statement.";
        let found = of_content(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].title, "We decided to keep sums by triggers");
        assert_eq!((found[0].body.as_str(), found[0].category.as_str()), (text, "decision"));
        assert_eq!(found[0].tags, ["decid", "keep", "sum", "trigger", "run"]);
        assert_eq!(of_content(" \n\n"), []);
        // Longer than an article may be.
        let found = of_content(&"word ".repeat(50_000));
        let titles: Vec<_> = found.iter().map(|found| found.title.as_str()).collect();
        assert_eq!((found.len(), &titles[1][titles[1].len() - 4..]), (3, " (2)"));
        assert_eq!(accepted(found, 10).len(), 3);
    }

    #[test]
    fn sections_of_three_levels() {
        let long = |word: &str| format!("{} \n", word.repeat(60));
        let text = format!(
            "# Guide\n\n## Set up\n{}\n### Small\nno\n## Bugs\n{}#### Deep\n{}",
            long("setup "),
            long("a bug "),
            long("deep ")
        );
        let found = of_content(&text);
        let told: Vec<_> =
            found.iter().map(|found| (found.title.as_str(), found.category.as_str())).collect();
        assert_eq!(told, [("Set up", "reference"), ("Bugs", "finding")]);
        assert!(found[0].body.starts_with("# Guide") && found[0].body.ends_with("### Small\nno"));
        assert!(found[1].body.contains("#### Deep"));
        let many = (0..12).map(|nth| format!("# S{nth}\n{}", long("text "))).collect::<String>();
        assert_eq!(of_content(&many).len(), 10);
    }

    #[test]
    fn what_a_text_is_about() {
        for (text, about) in [
            ("You must always lock rows", "convention"),
            ("Mustard and neverland", "reference"),
            ("It's a trade-off: we always knew", "convention"),
            ("a trade-off", "decision"),
            ("the Root  cause", "finding"),
            ("How to bake", "pattern"),
            ("Nothing of it", "reference"),
        ] {
            assert_eq!(category(text).as_str(), about, "{text}");
        }
    }

    #[test]
    fn titles() {
        for (text, title) in [
            ("# Heading #\nText.", "Heading"),
            ("- **bold** item. Second.", "bold** item"),
            ("Is it v1.2? Yes.", "Is it v1.2?"),
            ("Stop! Now.", "Stop!"),
            ("#\n\nBelow", "Below"),
        ] {
            assert_eq!(title_of(text), title, "{text}");
        }
        let long = title_of(&"word ".repeat(60));
        assert!(long.chars().count() <= 120 && long.ends_with("word…"), "{long}");
        assert_eq!(title_of(&"é".repeat(300)).chars().count(), 120);
    }

    #[test]
    fn a_review_that_found_something() {
        let review = |findings_count, summary: &str| ReviewSummary {
            review_type: "Enhanced 6-agent!".into(),
            findings_count,
            fixes_count: 2,
            summary: Some(summary.into()),
        };
        assert_eq!(of_review(&review(0, "All well.")), None);
        assert_eq!(of_review(&review(3, " \n")), None);
        assert_eq!(of_review(&ReviewSummary { summary: None, ..review(3, "") }), None);
        let found = of_review(&review(3, " Missing lock. It raced.\n")).unwrap();
        assert_eq!((found.title.as_str(), found.category.as_str()), ("Missing lock", "finding"));
        assert_eq!(found.tags, ["review", "enhanced-6-agent"]);
        assert_eq!(
            found.body,
            "Review type: Enhanced 6-agent!\nFindings: 3, fixes: 2\n\nMissing lock. It raced."
        );
        let odd = ReviewSummary { review_type: "審査".into(), ..review(1, "x") };
        assert_eq!(of_review(&odd).unwrap().tags, ["review"]);
    }

    proptest! {
        #[test]
        fn every_text_yields_what_can_be_stored(text in "(# \\PC{0,20}\n|\\PC{0,300}|\n){0,8}") {
            let found = of_content(&text);
            prop_assert_eq!(&found, &of_content(&text));
            prop_assert!(found.len() <= MOST_OF_CONTENT);
            for candidate in found {
                prop_assert!(candidate.title.chars().count() <= SENTENCE + 10);
                prop_assert!(candidate.tags.iter().all(|tag| Tags::check(tag).is_ok()));
            }
        }
    }
}
