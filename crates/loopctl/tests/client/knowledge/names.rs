//! An article of many, by its name, and lists of large ones.

use serde_json::{Value, json};

use super::{OLD, OTHER, RETRY, article, of_name, server};
use crate::list;
use crate::support::World;

/// A server with so many articles, of which no page may have more than so many, and which may know no names.
fn many(count: usize, fits: usize, knows_names: bool) -> World {
    World::new(move |request| {
        let number = |name: &str| {
            let parameter =
                request.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            parameter.map(|text| text.parse::<usize>().unwrap())
        };
        let mut rows: Vec<Value> = (0..count)
            .map(|at| article(OTHER, &format!("nth-{at}"), &format!("Nth {at}"), "draft"))
            .collect();
        rows.push(article(RETRY, "retry-budgets", "Retry budgets", "published"));
        if knows_names {
            rows = of_name(request, rows);
        }
        let Some(size) = number("page_size").or(number("limit")) else { return list(&[]) };
        let skip = number("offset").unwrap_or_else(|| (number("page").unwrap_or(1) - 1) * size);
        let (total, page): (_, Vec<_>) = (rows.len(), rows.into_iter().skip(skip).take(size).collect());
        if page.len() > fits {
            return (
                422,
                json!({"error": {"status": 422, "message": "Too large", "code": "answer_too_large"}}),
            )
                .into();
        }
        json!({"data": page, "meta": {"page": skip / size + 1, "page_size": size, "limit": size, "offset": skip,
                                      "total_count": total, "total_pages": total.div_ceil(size)}})
        .into()
    })
}

#[test]
fn articles_are_known_by_id_slug_or_title() {
    let world = World::new(server);
    let last = || world.lines().pop().unwrap();
    for name in [RETRY, "retry-budgets", "Retry+budgets"] {
        assert_eq!(world.run(&format!("knowledge links {name}")).code, 0, "{name}");
        assert_eq!(last(), format!("GET /api/v1/articles/{RETRY}/links"), "{name}");
    }
    // An umlaut of two signs is the same as one of one.
    world.run("knowledge archive O\u{308}therwise");
    assert_eq!(last(), format!("POST /api/v1/articles/{OTHER}/archive"));
    // And one that was written with two is found by one.
    let decomposed = World::new(|request| {
        let old = article(OLD, "old", "Ötherwise", "archived");
        list(&of_name(request, vec![old, article(OTHER, "other", "O\u{308}therwise", "draft")]))
    });
    decomposed.run("knowledge links Ötherwise");
    assert_eq!(decomposed.lines().pop().unwrap(), format!("GET /api/v1/articles/{OTHER}/links"));
    let none = world.run("knowledge get nothing-like-it");
    assert!(none.code == 5 && none.stderr.contains("Article nothing-like-it not found"), "{none:?}");
    let several = world.run("knowledge get Twice");
    assert!(
        several.code == 2 && several.stderr.contains(OLD) && several.stderr.contains(OTHER),
        "{several:?}"
    );
}

/// Whoever names an article does not read the whole wiki.
#[test]
fn one_of_many_is_asked_for_by_its_name() {
    let world = many(2_000, 27, true);
    for (name, asked) in [
        ("retry-budgets", &["slug=retry-budgets"][..]),
        ("Retry+budgets", &["title=Retry+budgets"]),
        ("no-such-slug", &["slug=no-such-slug", "title=no-such-slug"]),
    ] {
        let before = world.lines().len();
        world.run(&format!("knowledge links {name}"));
        let lines = world.lines().split_off(before);
        let lists: Vec<_> = lines.iter().filter(|line| line.starts_with("GET /api/v1/articles?")).collect();
        let expected: Vec<_> =
            asked.iter().map(|asked| format!("GET /api/v1/articles?{asked}&page_size=100&page=1")).collect();
        assert_eq!(lists, expected.iter().collect::<Vec<_>>(), "{name}");
    }
    // One that knows no names is read to the end, however large its articles are.
    let world = many(150, 27, false);
    world.run("knowledge links retry-budgets");
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/articles/{RETRY}/links"));
}

/// What some of many have written does not keep anybody from the list.
#[test]
fn a_list_of_large_articles_comes_in_smaller_pages() {
    for (count, fits) in [(150, 100), (150, 99), (150, 27), (61, 12), (7, 1), (0, 1)] {
        let world = many(count, fits, true);
        let drafts = world.run("knowledge drafts").json();
        let slugs: Vec<_> =
            drafts["data"].as_array().unwrap().iter().map(|row| row["slug"].clone()).collect();
        let expected: Vec<_> =
            (0..count).map(|at| json!(format!("nth-{at}"))).chain([json!("retry-budgets")]).collect();
        assert_eq!(slugs, expected, "{count} {fits}");
        assert_eq!(drafts["meta"]["total_count"], count + 1);
    }
    // One that no answer holds is refused, as is a page that somebody has asked for.
    for (fits, words) in [(0, ""), (27, " --limit 50")] {
        let refused = many(60, fits, true).run(&format!("knowledge drafts{words}"));
        assert!(refused.code == 7 && refused.stderr.contains("answer_too_large"), "{refused:?}");
    }
}
