//! What the findings rest on, gathered without changing or starting anything.

use std::collections::HashSet;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use loopctl_postgres::default_data_dir;
use loopctl_server::config::APPLICATION;
use serde_json::Value;
use tokio::process::Command;

use super::database::{Postgres, State};
use super::finding::has_key;
use super::hosts::{Read, Seen, Surroundings};
use super::program::{PROGRAMS, Place, parse};
use super::server::{Accepted, Health, Key, Named, Project, Server, Silence};
use crate::client::{Client, is_local, server_for_agents, server_url};
use crate::commands::auth::is_superadmin;
use crate::commands::programs::{is_on_path, is_program};
use crate::commands::settings::masked;
use crate::config::Setting;
use crate::context::Context;
use crate::error::Error;
use crate::output::rows_of;
use crate::resolve;

/// Of a file no more is read.
const LONGEST_FILE: u64 = 1024 * 1024;
/// How long git is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The server, as it tells of itself without a key.
pub(super) async fn server(context: &Context) -> Option<Server> {
    let (address, source) = context.config.lookup(Setting::Server)?;
    let is_address = server_url(&address).is_ok();
    let answer = match (server_for_agents(&address), context.open_client()) {
        (Err(refused), _) if is_address => Err(Silence::Plain(refused.to_line(), source)),
        (_, Ok(client)) => health(&client).await.map_err(|error| Silence::Unreached(error.to_line())),
        (_, Err(error)) => Err(Silence::Unreached(error.to_line())),
    };
    Some(Server { address, answer })
}

async fn health(client: &Client) -> Result<Health, Error> {
    let begun = Utc::now();
    let (status, body, date) = client.probe_dated("/health").await?;
    let now = begun + (Utc::now() - begun) / 2;
    // It counts whole seconds: on average it is half a second later than it says.
    let theirs = date.and_then(|date| DateTime::parse_from_rfc2822(&date).ok());
    let ahead = theirs.map(|theirs| theirs.to_utc() + TimeDelta::milliseconds(500) - now);
    let checks = body["checks"].as_object().into_iter().flatten();
    // `oban` is an older name of `jobs`.
    let unwell = checks
        .filter(|(name, state)| *name != "oban" && *state != "ok")
        .map(|(name, state)| format!("{name}: {}", state.as_str().unwrap_or_default()))
        .collect();
    let version = body["version"].as_str().filter(|_| body["checks"].is_object()).map(ToOwned::to_owned);
    Ok(Health { status, version, unwell, ahead })
}

/// The key, and with it the project.
pub(super) async fn key_and_project(
    context: &Context,
    key: Option<(String, &'static str)>,
    reached: bool,
) -> (Key, Project) {
    let Some((key, from)) = key else {
        return (Key::Missing, Project::Unknown);
    };
    let named = Named { masked: masked(&key), from };
    if !reached {
        return (Key::Unknown("there is no server to ask".to_owned()), Project::Unknown);
    }
    let client = match context.client() {
        Ok(client) => client,
        Err(error) => return (Key::Unknown(error.to_line()), Project::Unknown),
    };
    match client.get_once("/tenants/me", &[]).await {
        Ok(body) => (accepted(&client, &body, named).await, project(context, &client).await),
        Err(Error::Server(error)) if is_superadmin(&error) => (Key::Superadmin(named), Project::Unknown),
        Err(Error::Server(error)) if matches!(error.status, 401 | 403) => {
            (Key::Refused(error.status, error.message(), named), Project::Unknown)
        }
        Err(error) => (Key::Unknown(error.to_line()), Project::Unknown),
    }
}

async fn accepted(client: &Client, body: &Value, named: Named) -> Key {
    let key = &body["api_key"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (id, role) = (text(&key["id"]), text(&key["role"]));
    // Keys are listed to people alone.
    let expires_at = if role == "user" { expiry(client, &id).await } else { None };
    let accepted = Accepted {
        id,
        name: text(&key["name"]),
        role,
        tenant: text(&body["tenant"]["slug"]),
        agent: key["agent_id"].as_str().map(ToOwned::to_owned),
        expires_at,
    };
    Key::Accepted(Box::new(accepted), named)
}

async fn expiry(client: &Client, id: &str) -> Option<DateTime<Utc>> {
    let keys = client.get_once("/api_keys", &[]).await.ok()?;
    let own = rows_of(&keys).iter().find(|key| key["id"] == id)?;
    Some(DateTime::parse_from_rfc3339(own["expires_at"].as_str()?).ok()?.to_utc())
}

async fn project(context: &Context, client: &Client) -> Project {
    let Some(reference) = context.config.get(Setting::Project) else {
        return Project::NotSet;
    };
    let found = match resolve::uuid(&reference) {
        Some(id) => {
            let body = client.get_once(&format!("/projects/{id}"), &[]).await;
            body.map(|body| body["project"]["slug"].as_str().unwrap_or(&id).to_owned())
        }
        None => resolve::project(client, &reference).await.map(|project| project.label),
    };
    match found {
        Ok(name) => Project::Found(name),
        Err(error) if error.is_not_found() => Project::NotFound(format!("Project {reference} not found")),
        Err(error @ (Error::NotFound(_) | Error::Usage(_))) => Project::NotFound(error.to_line()),
        Err(_) => Project::Unknown,
    }
}

/// The programs that have files in a directory, and what is around them.
pub(super) async fn programs(directory: &Path) -> (Vec<Seen>, Surroundings) {
    let mut seen: Vec<Seen> = PROGRAMS
        .iter()
        .map(|program| {
            let places = program.places.iter();
            let files =
                places.flat_map(|place| paths(directory, place).into_iter().map(move |path| (place, path)));
            Seen { program, files: files.filter_map(|(place, path)| file(directory, place, path)).collect() }
        })
        .collect();
    let paths: Vec<&str> =
        seen.iter().flat_map(|seen| seen.files.iter().map(|file| file.path.as_str())).collect();
    let tracked = tracked(directory, &paths).await;
    for file in seen.iter_mut().flat_map(|seen| &mut seen.files) {
        file.is_tracked = tracked.contains(&file.path);
    }
    let entries: Vec<_> = seen.iter().filter_map(|seen| Some(seen.entry()?.1)).collect();
    let set = |name: &String| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let around = Surroundings {
        variables: entries.iter().flat_map(|entry| entry.variables.clone()).filter(set).collect(),
        commands: entries
            .iter()
            .filter_map(|entry| entry.command.clone())
            .chain(seen.iter().flat_map(Seen::hook_commands))
            .filter(|name| runs(directory, name))
            .collect(),
        codex: codex_settings(),
        directory: directory.display().to_string(),
    };
    (seen, around)
}

fn paths(directory: &Path, place: &Place) -> Vec<String> {
    let Some(parent) = place.path.strip_suffix("/*.json") else {
        return vec![place.path.to_owned()];
    };
    let entries = std::fs::read_dir(directory.join(parent)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut paths: Vec<String> =
        names.filter(|name| name.ends_with(".json")).map(|name| format!("{parent}/{name}")).collect();
    paths.sort();
    paths
}

fn file(directory: &Path, place: &'static Place, path: String) -> Option<Read> {
    let text = match text(&directory.join(&path)) {
        Ok(text) => text?,
        Err(error) => {
            let content = Err(format!("{path} cannot be read: {error}"));
            return Some(Read { place, path, content, has_key: false, is_tracked: false });
        }
    };
    let content = parse(&path, text.trim_start_matches('\u{feff}'));
    Some(Read { place, path, content, has_key: has_key(&text), is_tracked: false })
}

/// The text of a file; None when there is none.
fn text(path: &Path) -> std::io::Result<Option<String>> {
    if !path.is_file() {
        return Ok(None);
    }
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST_FILE).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Those of the files that git tracks. Where git is not there, or this is no repository, none.
async fn tracked(directory: &Path, paths: &[&str]) -> HashSet<String> {
    if paths.is_empty() {
        return HashSet::new();
    }
    let mut git = Command::new("git");
    // Nothing that a repository asks git to run.
    git.arg("-C")
        .arg(directory)
        .args(["-c", "core.fsmonitor=false", "ls-files", "-z", "--"])
        .args(paths)
        .kill_on_drop(true);
    let Ok(Ok(output)) = tokio::time::timeout(PATIENCE, git.output()).await else {
        return HashSet::new();
    };
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Whether a command can be started, from a directory.
fn runs(directory: &Path, command: &str) -> bool {
    if command.contains('/') { is_program(&directory.join(command)) } else { is_on_path(command) }
}

fn codex_settings() -> Value {
    let own = std::env::var_os("CODEX_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let home = own.or_else(|| Some(directories::BaseDirs::new()?.home_dir().join(".codex")));
    let text = home.and_then(|home| text(&home.join("config.toml")).ok().flatten());
    text.and_then(|text| parse("config.toml", &text).ok()).unwrap_or_default()
}

/// The PostgreSQL of a server on this machine.
pub(super) fn postgres(server: Option<&Server>) -> Postgres {
    if !server.is_some_and(|server| is_local(&server.address)) {
        return Postgres::Elsewhere;
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if set(APPLICATION.database_url).is_some() {
        return Postgres::External;
    }
    let Some(dir) =
        set(APPLICATION.data_dir).map(PathBuf::from).or_else(|| default_data_dir(&APPLICATION).ok())
    else {
        return Postgres::Elsewhere;
    };
    let cluster = dir.join("postgres");
    match std::fs::read_to_string(cluster.join("PG_VERSION")) {
        Ok(version) => Postgres::Present { state: state(&cluster), dir, version: version.trim().to_owned() },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Postgres::Absent(dir),
        Err(error) => Postgres::Closed(dir, error.to_string()),
    }
}

/// What PostgreSQL's own pid file says, and whether somebody listens where it says so.
fn state(cluster: &Path) -> State {
    let text = match std::fs::read_to_string(cluster.join("postmaster.pid")) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return State::Stopped,
        Err(_) => return State::Unknown,
    };
    let mut lines = text.lines().skip(3);
    let (Some(port), Some(sockets)) = (lines.next(), lines.next()) else {
        return State::Dead;
    };
    match UnixStream::connect(Path::new(sockets.trim()).join(format!(".s.PGSQL.{}", port.trim()))) {
        Ok(_) => State::Running,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => State::Unknown,
        Err(_) => State::Dead,
    }
}
