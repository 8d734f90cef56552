//! The published articles of a tenant, as they are searched.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::mem::size_of;
use std::sync::Arc;

use loopctl_core::knowledge::{nearness, rarity};
use loopctl_embed::Small;
use uuid::Uuid;

use super::store::Shelved;
use crate::db::Timestamp;

/// Of how many articles, by each of meaning and words, it is looked at both.
const DEPTH: usize = 50;

/// What a tenant has published.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    articles: Vec<Entry>,
    places: HashMap<Uuid, usize>,
    /// The numbers of stems.
    stems: HashMap<Arc<str>, u32>,
    /// By number.
    known: Vec<Stem>,
    /// Numbers that no stem has any more.
    free: Vec<u32>,
    bytes: usize,
}

/// A word that articles have.
#[derive(Debug)]
struct Stem {
    text: Arc<str>,
    /// How many have it.
    with: u32,
}

#[derive(Debug)]
struct Entry {
    id: Uuid,
    project_id: Option<Uuid>,
    category: Box<str>,
    tags: Box<[String]>,
    updated_at: Timestamp,
    /// In order.
    stems: Box<[u32]>,
    vectors: Box<[Small]>,
}

/// Which articles are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Of this project.
    pub(crate) project_id: Option<Uuid>,
    /// Beside those of the project those of the whole tenant.
    pub(crate) with_tenant_wide: bool,
    /// Beside those of the tenant the server's own, which are of no project.
    pub(crate) with_system: bool,
    pub(crate) category: Option<String>,
    /// With any of these, which are in order: there may be thousands.
    pub(crate) tags: Option<Vec<String>>,
}

impl Wanted {
    fn admits(&self, article: &Entry) -> bool {
        let is_of_project = self.project_id.is_none_or(|wanted| match article.project_id {
            Some(project_id) => project_id == wanted,
            None => self.with_tenant_wide,
        });
        is_of_project
            && self.category.as_deref().is_none_or(|category| *category == *article.category)
            && self
                .tags
                .as_ref()
                .is_none_or(|tags| article.tags.iter().any(|tag| tags.binary_search(tag).is_ok()))
    }
}

/// An article that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) id: Uuid,
    pub(crate) score: f32,
    /// Whether it has words of the question.
    pub(crate) has_words: bool,
    updated_at: Timestamp,
}

/// What belongs together with an article.
#[derive(Debug, PartialEq)]
pub(crate) struct Related {
    /// The article's own.
    pub(crate) project_id: Option<Uuid>,
    /// Each with how near it is.
    pub(crate) near: Vec<(Uuid, f32)>,
}

/// The best first; of equals what was changed last.
fn in_order(found: &mut [Found]) {
    found.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score.then_with(|| other.updated_at.cmp(&one.updated_at)).then_with(|| one.id.cmp(&other.id))
    });
}

/// A shelf that is searched, and what is wanted of it.
pub(crate) type Searched<'a> = (&'a Shelf, &'a Wanted);

/// Articles by how near their meaning is to a question's, all that have one.
pub(crate) fn by_meaning(shelves: &[Searched<'_>], question: &Small) -> Vec<Found> {
    let wanted = shelves.iter().flat_map(|(shelf, wanted)| shelf.wanted(wanted));
    let mut found: Vec<Found> =
        wanted.filter_map(|article| Some(article.found(article.meaning(question)?, false))).collect();
    in_order(&mut found);
    found
}

/// The articles that are nearest to a question by meaning and those that are by words, each with both, as a share of the best one. An
/// article with unwanted words has none that count. Several shelves are as one: how rare a word is, it is among all of them.
pub(crate) fn by_both(
    shelves: &[Searched<'_>],
    question: Option<&Small>,
    stems: &[String],
    unwanted: &[String],
) -> Vec<Found> {
    let all = shelves.iter().map(|(shelf, _)| shelf.articles.len()).sum();
    let mut stems: Vec<&str> = stems.iter().map(String::as_str).collect();
    stems.sort_unstable();
    stems.dedup();
    // Words that no article has are the rarest.
    let with = |stem: &str| shelves.iter().map(|(shelf, _)| shelf.with(stem)).sum();
    let asked: Vec<(&str, f32)> = stems.into_iter().map(|stem| (stem, rarity(with(stem), all))).collect();
    let whole: f32 = asked.iter().map(|(_, rare)| rare).sum();
    let mut each: Vec<(&Entry, f32, f32)> = Vec::new();
    for (shelf, wanted) in shelves {
        let number = |stem: &str| shelf.stems.get(stem).copied();
        let asked: Vec<(u32, f32)> =
            asked.iter().filter_map(|(stem, rare)| Some((number(stem)?, *rare))).collect();
        let unwanted: Vec<u32> = unwanted.iter().filter_map(|stem| number(stem)).collect();
        let share = |article: &Entry| {
            let has = |number: &u32| article.stems.binary_search(number).is_ok();
            if unwanted.iter().any(has) {
                return 0.0;
            }
            let sum: f32 = asked.iter().filter(|(number, _)| has(number)).map(|(_, rare)| rare).sum();
            if whole > 0.0 { sum / whole } else { 0.0 }
        };
        each.extend(shelf.wanted(wanted).map(|article| {
            let meaning = question.and_then(|question| article.meaning(question));
            (article, meaning.unwrap_or(0.0), share(article))
        }));
    }
    let mut near: Vec<Uuid> = Vec::new();
    for by in [|row: &(&Entry, f32, f32)| row.1, |row: &(&Entry, f32, f32)| row.2] {
        if each.len() > DEPTH {
            each.select_nth_unstable_by(DEPTH, |one, other| {
                by(other).total_cmp(&by(one)).then_with(|| one.0.age().cmp(&other.0.age()))
            });
        }
        near.extend(each.iter().take(DEPTH).filter(|row| by(row) > 0.0).map(|row| row.0.id));
    }
    near.sort_unstable();
    near.dedup();
    each.retain(|row| near.binary_search(&row.0.id).is_ok());
    let mut found: Vec<Found> = each
        .into_iter()
        .map(|(article, meaning, words)| article.found(nearness(meaning, words), words > 0.0))
        .collect();
    in_order(&mut found);
    let best = found.first().map_or(1.0, |found| found.score).max(f32::EPSILON);
    found.iter_mut().for_each(|found| found.score /= best);
    found
}

impl Shelf {
    /// Puts an article there, in place of what is known of it.
    pub(super) fn put(&mut self, row: Shelved) {
        self.remove(row.id);
        let mut stems: Vec<u32> = row.stems.iter().map(|stem| self.number(stem)).collect();
        stems.sort_unstable();
        stems.dedup();
        stems.iter().for_each(|stem| self.known[*stem as usize].with += 1);
        let dimensions =
            row.dimensions.and_then(|dimensions| usize::try_from(dimensions).ok()).unwrap_or(1).max(1);
        let bytes = row.vectors.unwrap_or_default();
        let vectors = bytes
            .chunks_exact(dimensions)
            .filter_map(|parts| Small::from_parts(parts.iter().map(|part| part.cast_signed()).collect()));
        let entry = Entry {
            id: row.id,
            project_id: row.project_id,
            category: row.category.into(),
            tags: row.tags.into(),
            updated_at: row.updated_at,
            stems: stems.into(),
            vectors: vectors.collect(),
        };
        self.bytes += entry.bytes();
        self.places.insert(entry.id, self.articles.len());
        self.articles.push(entry);
    }

    /// Takes an article away, if it is there.
    pub(super) fn remove(&mut self, id: Uuid) {
        let Some(place) = self.places.remove(&id) else { return };
        let gone = self.articles.swap_remove(place);
        self.bytes -= gone.bytes();
        gone.stems.iter().for_each(|stem| self.give_up(*stem));
        if let Some(moved) = self.articles.get(place) {
            self.places.insert(moved.id, place);
        }
    }

    /// The number of a stem, which it gets if it has none.
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.stems.get(text) {
            return *number;
        }
        let stem = Stem { text: text.into(), with: 0 };
        self.bytes += stem.bytes();
        let text = Arc::clone(&stem.text);
        let number = match self.free.pop() {
            Some(number) => {
                self.known[number as usize] = stem;
                number
            }
            None => {
                self.known.push(stem);
                u32::try_from(self.known.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.stems.insert(text, number);
        number
    }

    /// One article less has this stem; the last one takes it along.
    fn give_up(&mut self, number: u32) {
        let stem = &mut self.known[number as usize];
        stem.with -= 1;
        if stem.with == 0 {
            self.bytes -= stem.bytes();
            self.stems.remove(&stem.text);
            self.free.push(number);
        }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn wanted<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = &'a Entry> {
        self.articles.iter().filter(|article| wanted.admits(article))
    }

    /// How many articles have a stem.
    fn with(&self, stem: &str) -> usize {
        self.stems.get(stem).map_or(0, |number| self.known[*number as usize].with as usize)
    }

    /// The articles that belong together with one. None: it is not there, or says nothing.
    pub(crate) fn near(&self, id: Uuid, related: f32) -> Option<Related> {
        let article = &self.articles[*self.places.get(&id)?];
        if article.vectors.is_empty() {
            return None;
        }
        let wanted = Wanted { project_id: article.project_id, with_tenant_wide: true, ..Wanted::default() };
        let others = self.articles.iter().filter(|other| other.id != id && wanted.admits(other));
        let near = others.filter_map(|other| {
            // As a whole: what they have in common in one place makes no pair of them.
            let near = article.vectors.iter().filter_map(|vector| other.meaning(vector));
            let (sum, count) = near.fold((0.0, 0.0), |(sum, count), near| (sum + near, count + 1.0));
            (count > 0.0 && sum / count >= related).then_some((other.id, sum / count))
        });
        Some(Related { project_id: article.project_id, near: near.collect() })
    }
}

impl Stem {
    fn bytes(&self) -> usize {
        self.text.len() + 3 * size_of::<usize>() + 2 * size_of::<(Arc<str>, u32)>()
    }
}

impl Entry {
    /// How near its nearest part is to a question.
    fn meaning(&self, question: &Small) -> Option<f32> {
        self.vectors.iter().map(|vector| vector.near(question)).max_by(f32::total_cmp)
    }

    /// Of equals those come first that were changed last.
    fn age(&self) -> (Reverse<Timestamp>, Uuid) {
        (Reverse(self.updated_at), self.id)
    }

    fn found(&self, score: f32, has_words: bool) -> Found {
        Found { id: self.id, score, has_words, updated_at: self.updated_at }
    }

    fn bytes(&self) -> usize {
        let vectors: usize =
            self.vectors.iter().map(|vector| vector.parts().len() + size_of::<Small>()).sum();
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<String>()).sum();
        size_of::<Self>() + 3 * size_of::<Uuid>() + self.stems.len() * size_of::<u32>() + vectors + tags
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn row(id: u128, project: Option<u128>, stems: &[&str], vector: [i8; 3]) -> Shelved {
        Shelved {
            id: Uuid::from_u128(id),
            project_id: project.map(Uuid::from_u128),
            category: "pattern".to_owned(),
            tags: stems.iter().take(1).map(|tag| (*tag).to_owned()).collect(),
            updated_at: Timestamp(DateTime::from_timestamp(1_700_000_000 + id as i64, 0).unwrap()),
            stems: stems.iter().map(|stem| (*stem).to_owned()).collect(),
            vectors: Some(vector.map(i8::cast_unsigned).to_vec()),
            dimensions: Some(3),
        }
    }

    fn shelf() -> Shelf {
        let mut shelf = Shelf::default();
        shelf.put(row(1, None, &["pool", "dry"], [100, 0, 0]));
        shelf.put(row(2, Some(9), &["pool", "swim"], [0, 100, 0]));
        shelf.put(row(3, Some(9), &["branch"], [0, 90, 40]));
        shelf
    }

    fn ids(found: &[Found]) -> Vec<u128> {
        found.iter().map(|found| found.id.as_u128()).collect()
    }

    fn direction(parts: [i8; 3]) -> Small {
        Small::from_parts(parts.to_vec()).unwrap()
    }

    #[test]
    fn both_meaning_and_words_count() {
        let shelf = shelf();
        let stems = ["pool".to_owned(), "dry".to_owned()];
        let found = by_both(&[(&shelf, &Wanted::default())], Some(&direction([0, 1, 0])), &stems, &[]);
        assert_eq!(ids(&found), [2, 1, 3]);
        assert!((found[0].score - 1.0).abs() < 1e-6 && found[0].has_words && !found[2].has_words);
        // Without a meaning the words are left, and what has none is not found.
        assert_eq!(ids(&by_both(&[(&shelf, &Wanted::default())], None, &stems, &[])), [1, 2]);
        assert_eq!(
            ids(&by_both(&[(&shelf, &Wanted::default())], None, &["nowhere".to_owned()], &[])),
            [0; 0]
        );
        // An article with an unwanted word is there for what it means alone.
        let unwanted = ["swim".to_owned()];
        let found =
            by_both(&[(&shelf, &Wanted::default())], Some(&direction([1, 1, 0])), &stems[..1], &unwanted);
        assert_eq!((found[0].id.as_u128(), found[1].has_words), (1, false));
        assert_eq!(ids(&by_both(&[(&shelf, &Wanted::default())], None, &stems[..1], &unwanted)), [1]);
        let meaning = by_meaning(&[(&shelf, &Wanted::default())], &direction([0, 9, 4]));
        assert_eq!(ids(&meaning), [3, 2, 1]);
    }

    #[test]
    fn only_what_is_wanted_is_found() {
        let shelf = shelf();
        let of = |wanted: Wanted| ids(&by_meaning(&[(&shelf, &wanted)], &direction([1, 1, 1]))).len();
        let project_id = Some(Uuid::from_u128(9));
        assert_eq!(of(Wanted { project_id, ..Wanted::default() }), 2);
        assert_eq!(of(Wanted { project_id, with_tenant_wide: true, ..Wanted::default() }), 3);
        assert_eq!(of(Wanted { category: Some("finding".to_owned()), ..Wanted::default() }), 0);
        assert_eq!(
            of(Wanted { tags: Some(vec!["x".to_owned(), "branch".to_owned()]), ..Wanted::default() }),
            1
        );
    }

    #[test]
    fn related_articles_are_near_as_a_whole_and_of_the_same_project() {
        let shelf = shelf();
        let Related { project_id: project, near } = shelf.near(Uuid::from_u128(2), 0.8).unwrap();
        assert_eq!((project, near.len(), near[0].0), (Some(Uuid::from_u128(9)), 1, Uuid::from_u128(3)));
        assert_eq!(shelf.near(Uuid::from_u128(1), 0.8).unwrap().near, []);
        assert_eq!(shelf.near(Uuid::from_u128(7), 0.8), None);
    }

    #[test]
    fn what_is_taken_away_leaves_nothing_behind() {
        let mut shelf = shelf();
        let before = shelf.bytes();
        for words in [["one", "two"], ["three", "four"], ["five", "two"], ["pool", "dry"]] {
            shelf.put(row(1, None, &words, [100, 0, 0]));
        }
        assert_eq!((shelf.articles.len(), shelf.bytes(), shelf.known.len()), (3, before, 5));
        for id in [1, 3, 2, 2] {
            shelf.remove(Uuid::from_u128(id));
        }
        assert!(
            shelf.articles.is_empty()
                && shelf.places.is_empty()
                && shelf.stems.is_empty()
                && shelf.bytes() == 0
        );
    }
}
