//! The model that comes along computes what whoever made it has computed (`distil/vectors.json`).

use loopctl_embed::{Embedder, dot};
use serde_json::Value;

#[test]
fn vectors_are_as_they_were_computed() {
    let embedder = Embedder::built_in();
    let mut compared = 0;
    let inputs: Vec<Value> = serde_json::from_str(include_str!("../distil/vectors.json")).unwrap();
    for input in inputs {
        let text = input["text"].as_str().unwrap();
        let ids = input["ids"].as_array().unwrap();
        assert_eq!(embedder.tokens(text), ids.len(), "{text:?}");
        let Some(vector) = embedder.question(text) else {
            assert!(ids.is_empty(), "{text:?}");
            continue;
        };
        let expected: Vec<f32> =
            input["vector"].as_array().unwrap().iter().map(|part| part.as_f64().unwrap() as f32).collect();
        assert_eq!(vector.len(), embedder.dimensions());
        assert!(dot(&vector, &expected) > 0.9999, "{text:?}: {}", dot(&vector, &expected));
        compared += 1;
    }
    assert!(compared >= 25, "{compared}");
}

#[test]
fn a_long_article_is_looked_at_in_parts() {
    let embedder = Embedder::built_in();
    assert_eq!(embedder.article("Short", "A sentence.").len(), 1);
    let long = "The pool of connections runs dry when nobody gives one back. ".repeat(60);
    let parts = embedder.article("Pools", &long);
    assert!((4..8).contains(&parts.len()), "{}", parts.len());
    // What it says is near in each part.
    let question = embedder.question("why are there no connections left").unwrap();
    assert!(parts.iter().all(|part| dot(part, &question) > 0.3));
    assert_eq!(embedder.article("", "").len(), 1, "nothing at all is a text, too");
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let whole: &'static [u8] = include_bytes!("../model.bin");
    for (file, why) in
        [(&b""[..], "begin"), (b"LCEMBED1", "short"), (&whole[..100], "short"), (&whole[..100_000], "short")]
    {
        let error = Embedder::model("x", file).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let mut other = whole[..200].to_vec();
    other[8] = 9;
    let error = Embedder::model("x", Vec::leak(other)).unwrap_err().to_string();
    assert!(error.contains("do not fit"), "{error}");
}
