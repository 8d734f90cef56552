//! `compose.yaml` and `.env.example`, read as Compose reads them, as far as environments go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::{Captures, Regex};
use serde_json::Value;

use crate::support::run;

/// What `.env` says, and what a service's environment is.
pub(super) type Environment = BTreeMap<String, String>;

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whatever stands in `.env.example`.
pub(super) fn example() -> Environment {
    let text = text(".env.example");
    let settings = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The environment of a service; or the variables that have to be set and are not.
pub(super) fn environment(service: &str, settings: &Environment) -> Result<Environment, Vec<String>> {
    let file: Value = serde_saphyr::from_str(&text("compose.yaml")).unwrap();
    let declared = file["services"][service]["environment"].as_object().unwrap();
    let mut missing = Vec::new();
    let filled = declared.iter().map(|(name, value)| {
        let value = value.as_str().unwrap_or_else(|| panic!("{name} of {service} is no text: {value}"));
        (name.clone(), fill(value, settings, &mut missing))
    });
    let filled = filled.collect();
    if missing.is_empty() { Ok(filled) } else { Err(missing) }
}

/// `${NAME:-default}`, and `${NAME:?complaint}`; empty is unset.
fn fill(value: &str, settings: &Environment, missing: &mut Vec<String>) -> String {
    let variable = Regex::new(r"\$\{(\w+):([-?])([^}]*)\}").unwrap();
    let filled = variable.replace_all(value, |found: &Captures<'_>| {
        let (name, kind, word) = (&found[1], &found[2], &found[3]);
        match settings.get(name).filter(|value| !value.is_empty()) {
            Some(value) => value.clone(),
            None if kind == "-" => word.to_owned(),
            None => {
                missing.push(name.to_owned());
                String::new()
            }
        }
    });
    filled.into_owned()
}

#[test]
fn an_example_that_was_not_filled_in_starts_nothing() {
    let mut missing: Vec<String> =
        ["db", "app"].iter().flat_map(|service| environment(service, &example()).unwrap_err()).collect();
    missing.sort();
    missing.dedup();
    let needed =
        ["CLOAK_KEY", "DB_ADMIN_PASSWORD", "DB_APP_PASSWORD", "POSTGRES_PASSWORD", "SECRET_KEY_BASE"];
    assert_eq!(missing, needed);
}

#[test]
fn what_the_example_offers_compose_takes() {
    let compose = text("compose.yaml");
    let offered = Regex::new(r"(?m)^#?([A-Z_]+)=").unwrap();
    let example = text(".env.example");
    let mut count = 0;
    for found in offered.captures_iter(&example) {
        assert!(compose.contains(&format!("${{{}:", &found[1])), "{}", &found[1]);
        count += 1;
    }
    assert!(count > 12, "{count}");
}

/// Whatever a server can be told on this machine, it can be told in a container.
#[test]
fn what_a_server_can_be_told_compose_hands_on() {
    let help = run("serve --help", &[]);
    let listed = Regex::new(r"\[env: ([A-Z_]+)").unwrap();
    let mut settings: Vec<_> = listed.captures_iter(&help.stdout).map(|found| found[1].to_owned()).collect();
    assert!(settings.len() > 20, "{help:?}");
    // What is secret is no flag, and what has another way of saying it is not shown.
    let not_listed =
        ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "CLOAK_KEY", "CLOAK_RETIRED_KEYS", "RUN_WORKERS"];
    settings.extend(not_listed.map(str::to_owned));
    // A PostgreSQL of its own, the address in the image, a file that the image does not have.
    let elsewhere = [
        "LOOPCTL_DATA_DIR",
        "LOOPCTL_PG_BIN",
        "LOOPCTL_PG_BUNDLE",
        "LOOPCTL_LISTEN",
        "LOOPCTL_EMBEDDING_MODEL",
    ];
    let compose = text("compose.yaml");
    let lacking: Vec<_> = settings
        .iter()
        .filter(|name| !elsewhere.contains(&name.as_str()) && !compose.contains(&format!("\n      {name}: ")))
        .collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}

/// The image builds with what everybody builds with.
#[test]
fn the_image_is_built_with_the_toolchain_of_the_repository() {
    let toolchain = text("rust-toolchain.toml");
    let version = Regex::new(r#"channel = "([0-9.]+)""#).unwrap().captures(&toolchain).unwrap()[1].to_owned();
    let dockerfile = text("Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{version}-bookworm ")), "{version}");
    assert!(dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")), "{version}");
}
