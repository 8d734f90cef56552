//! What was found in a text, before it becomes drafts.

use std::collections::HashMap;

use super::{Category, MAX_BODY, MAX_TAGS, MAX_TITLE, Tags};

/// The most drafts that come of one text.
pub const MOST_OF_CONTENT: usize = 10;
/// The most drafts that come of one review.
pub const MOST_OF_REVIEW: usize = 5;

/// Something that may become an article, as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    /// What it is called.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// One of the words of [`Category`], if it is any good.
    pub category: String,
    /// Words.
    pub tags: Vec<String>,
}

/// A candidate that may be an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Not blank.
    pub title: String,
    /// Not blank.
    pub body: String,
    /// What kind.
    pub category: Category,
    /// Each of them may be a tag.
    pub tags: Vec<String>,
}

/// Those that may be articles, at most so many. Of several with one title, whatever its case, that with the longest body counts, in
/// the place of the first.
pub fn accepted(candidates: Vec<Candidate>, most: usize) -> Vec<Found> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut accepted: Vec<Found> = Vec::new();
    for found in candidates.into_iter().filter_map(check) {
        let key = found.title.to_lowercase();
        match places.get(&key).and_then(|place| accepted.get_mut(*place)) {
            Some(known) if known.body.len() < found.body.len() => *known = found,
            Some(_) => {}
            None => {
                places.insert(key, accepted.len());
                accepted.push(found);
            }
        }
    }
    accepted.truncate(most);
    accepted
}

/// As an article that may be stored; none where it may not.
fn check(candidate: Candidate) -> Option<Found> {
    let Candidate { title, body, category, tags } = candidate;
    let (title, body) = (storable(title.trim()), storable(body.trim()));
    let fits = |text: &str, most: usize| !text.is_empty() && text.chars().nth(most).is_none();
    let tags_fit = tags.len() <= MAX_TAGS && tags.iter().all(|tag| Tags::check(tag).is_ok());
    let category = Category::parse(category.trim())?;
    (fits(&title, MAX_TITLE) && fits(&body, MAX_BODY) && tags_fit).then_some(Found {
        title,
        body,
        category,
        tags,
    })
}

/// As a database takes it.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(title: &str, body: &str) -> Candidate {
        Candidate {
            title: title.into(),
            body: body.into(),
            category: "pattern".into(),
            tags: vec!["a-1".into()],
        }
    }

    fn titles(candidates: Vec<Candidate>, most: usize) -> Vec<String> {
        accepted(candidates, most).into_iter().map(|found| found.title).collect()
    }

    #[test]
    fn what_cannot_be_an_article_is_dropped() {
        let good = candidate("t", "b");
        let tagged = |tags: Vec<String>| Candidate { tags, ..good.clone() };
        for bad in [
            candidate(" ", "b"),
            candidate("t", " \n"),
            candidate(&"t".repeat(501), "b"),
            candidate("t", &"b".repeat(100_001)),
            Candidate { category: "idea".into(), ..good.clone() },
            Candidate { category: String::new(), ..good.clone() },
            tagged(vec!["bad tag".into()]),
            tagged(vec![String::new()]),
            tagged(vec!["é".into()]),
            tagged(vec!["x".repeat(101)]),
            tagged(vec!["x".into(); 21]),
        ] {
            assert_eq!(accepted(vec![bad.clone()], 9), [], "{bad:?}");
        }
        assert_eq!(titles(vec![candidate(&"é".repeat(500), &"é".repeat(100_000))], 9).len(), 1);
        assert_eq!(titles(vec![candidate(" a\0b ", "b")], 9), ["a\u{fffd}b"]);
    }

    #[test]
    fn of_one_title_the_longest_body_counts() {
        let found = accepted(
            vec![
                candidate("One", "b"),
                candidate("Two", "b"),
                candidate(" oNE ", "longer"),
                candidate("one", "x"),
            ],
            9,
        );
        let told: Vec<_> = found.iter().map(|found| (found.title.as_str(), found.body.as_str())).collect();
        assert_eq!(told, [("oNE", "longer"), ("Two", "b")]);
        // What is too long to be stored does not push aside what is not.
        let long = candidate("One", &"b".repeat(100_001));
        assert_eq!(titles(vec![candidate("One", "b"), long], 9), ["One"]);
    }

    #[test]
    fn no_more_than_so_many_and_the_bad_ones_do_not_count() {
        let mut all = vec![candidate("", "b"); 3];
        all.extend((0..12).map(|nth| candidate(&format!("t{nth}"), "b")));
        assert_eq!(titles(all, MOST_OF_CONTENT), (0..10).map(|nth| format!("t{nth}")).collect::<Vec<_>>());
    }
}
