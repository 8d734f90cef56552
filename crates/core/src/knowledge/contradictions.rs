//! Which articles cannot all be right.

use std::collections::{BTreeMap, BTreeSet};

/// Articles that contradict each other, directly or through others, and the links that say so. All in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction<Id> {
    /// At least two.
    pub articles: Vec<Id>,
    /// At least one.
    pub links: Vec<Id>,
}

/// The connected components of links, each given as its id and its ends; by their smallest article.
pub fn clusters<Id: Copy + Ord>(links: &[(Id, Id, Id)]) -> Vec<Contradiction<Id>> {
    let mut parents: BTreeMap<Id, Id> = BTreeMap::new();
    for (_, one, other) in links {
        let (one, other) = (root(&mut parents, *one), root(&mut parents, *other));
        // The smallest of a component is its root.
        parents.insert(one.max(other), one.min(other));
    }
    let mut found: BTreeMap<Id, (BTreeSet<Id>, BTreeSet<Id>)> = BTreeMap::new();
    for (link, one, other) in links {
        let (articles, known) = found.entry(root(&mut parents, *one)).or_default();
        articles.extend([*one, *other]);
        known.insert(*link);
    }
    let cluster = |(articles, links): (BTreeSet<Id>, BTreeSet<Id>)| Contradiction {
        articles: articles.into_iter().collect(),
        links: links.into_iter().collect(),
    };
    found.into_values().map(cluster).collect()
}

/// The root of an article's component. The way there becomes shorter.
fn root<Id: Copy + Ord>(parents: &mut BTreeMap<Id, Id>, article: Id) -> Id {
    let mut at = article;
    while let Some(parent) = parents.get(&at).copied().filter(|parent| *parent != at) {
        let next = parents.get(&parent).copied().unwrap_or(parent);
        parents.insert(at, next);
        at = parent;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_hangs_together_is_one_cluster() {
        let links = [(10, 3, 2), (11, 1, 2), (12, 8, 9), (13, 2, 3)];
        let expected = [
            Contradiction { articles: vec![1, 2, 3], links: vec![10, 11, 13] },
            Contradiction { articles: vec![8, 9], links: vec![12] },
        ];
        assert_eq!(clusters(&links), expected);
        assert_eq!(clusters::<u8>(&[]), []);
    }

    proptest! {
        #[test]
        fn clusters_do_not_depend_on_the_order(
            ends in proptest::collection::vec((0..20_u32, 0..20_u32), 0..40),
            seed in any::<u64>(),
        ) {
            let ends: Vec<_> = ends.into_iter().filter(|(one, other)| one != other).collect();
            let links: Vec<_> = ends.iter().zip(100..).map(|((one, other), id)| (id, *one, *other)).collect();
            let mut shuffled = links.clone();
            shuffled.sort_by_key(|(id, ..)| u64::from(*id).wrapping_mul(seed | 1));
            shuffled.iter_mut().filter(|(id, ..)| id % 2 == 0).for_each(|(_, one, other)| std::mem::swap(one, other));
            let found = clusters(&links);
            prop_assert_eq!(&found, &clusters(&shuffled));
            // Each link is in one cluster, with both its ends; and no article is in two.
            let all: Vec<_> = found.iter().flat_map(|cluster| cluster.articles.clone()).collect();
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
            prop_assert_eq!(found.iter().map(|cluster| cluster.links.len()).sum::<usize>(), links.len());
            for cluster in &found {
                for (id, one, other) in &links {
                    let inside = [one, other].map(|end| cluster.articles.contains(end));
                    prop_assert_eq!(inside, [cluster.links.contains(id); 2]);
                }
                // And it does hang together: everything is reached from the first one.
                let mut reached = BTreeSet::from([cluster.articles[0]]);
                for _ in &cluster.articles {
                    for (_, one, other) in &links {
                        if reached.contains(one) || reached.contains(other) {
                            reached.extend([*one, *other]);
                        }
                    }
                }
                prop_assert_eq!(reached.into_iter().collect::<Vec<_>>(), cluster.articles.clone());
            }
        }
    }
}
