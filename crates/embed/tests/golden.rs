//! The model that comes along computes what whoever made it has computed (`distil/vectors.json`).

use loopctl_embed::{Embedder, dot};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

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
    assert_eq!(embedder.article("Only a title", "").len(), 1);
}

#[test]
fn what_says_nothing_has_no_vector() {
    for embedder in [Embedder::built_in(), Embedder::hash()] {
        for text in ["", " \n"] {
            assert_eq!(embedder.question(text), None, "{embedder:?}");
            assert!(embedder.article(text, text).is_empty(), "{embedder:?}");
        }
    }
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
    // Its version; an inner dimension of nothing, of a part of a group, of too much; no room for a token.
    for (at, number) in [(8, 9_u32), (24, 0), (24, 33), (24, 8224), (28, 7)] {
        let mut other = whole[..200].to_vec();
        other[at..at + 4].copy_from_slice(&number.to_le_bytes());
        let error = Embedder::model("x", Vec::leak(other)).unwrap_err().to_string();
        assert!(error.contains("do not fit"), "{at}: {error}");
    }
    let mut short = whole.to_vec();
    short[28..32].copy_from_slice(&245_u32.to_le_bytes());
    let error = Embedder::model("x", Vec::leak(short)).unwrap_err().to_string();
    assert!(error.contains("too few tokens"), "{error}");
}

/// Vectors of one name are compared, so another file needs another name: change both.
#[test]
fn the_model_that_comes_along_has_a_name_of_its_own() {
    let digest = hex::encode(Sha256::digest(include_bytes!("../model.bin")));
    let expected = ("loopctl-minilm-1", "d067a6761858846cf076977319648e82056db7dcf04f4c3c4dbdaefeb23d85bf");
    assert_eq!((Embedder::built_in().name(), digest.as_str()), expected);
}
