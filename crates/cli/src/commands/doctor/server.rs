//! The server, the key, the project and the clock.

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::Finding;
use crate::config::Source;

/// Clocks may differ by so much, in seconds.
const DRIFT: i64 = 30;
/// A key that expires within so many days should be rotated.
const SOON: i64 = 7;

/// What a server was asked for, or why it was not: no more is known then.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: String,
    pub(super) answer: Result<Health, Silence>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Silence {
    /// It is away, or the address is none.
    Unreached(String),
    /// It was not asked: the key would go over plain HTTP to a far host. Where the address is from.
    Plain(String, Source),
}

/// What a server has said of itself.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) status: u16,
    /// None: it is no loopctl.
    pub(super) version: Option<String>,
    /// The parts that are not well, as `database: error`.
    pub(super) unwell: Vec<String>,
    /// Its clock minus ours.
    pub(super) ahead: Option<TimeDelta>,
}

/// What is known of the key.
#[derive(Debug)]
pub(super) enum Key {
    Missing,
    /// The status and the message, of a key.
    Refused(u16, String, Named),
    /// It belongs to no tenant.
    Superadmin(Named),
    Accepted(Box<Accepted>, Named),
    /// Nobody was asked, or there was no answer.
    Unknown(String),
}

/// A key as it can be shown.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) masked: String,
    pub(super) from: &'static str,
}

/// Whose key it is.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) tenant: String,
    pub(super) agent: Option<String>,
    /// Only keys of role `user` are told.
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// What is known of the project.
#[derive(Debug)]
pub(super) enum Project {
    NotSet,
    Found(String),
    NotFound(String),
    Unknown,
}

/// Judges the server and its clock, for a binary of a version.
pub(super) fn server(server: Option<&Server>, version: &str) -> Vec<Finding> {
    let Some(Server { address, answer }) = server else {
        let finding = Finding::error("server", "No server is configured");
        return vec![finding.mend("loopctl auth login --server <url>, or set LOOPCTL_SERVER")];
    };
    let health = match answer {
        Ok(health) => health,
        Err(Silence::Unreached(reason)) => {
            let finding = Finding::error("server", reason.clone());
            return vec![finding.mend("loopctl serve, or loopctl config set server <url>")];
        }
        Err(Silence::Plain(reason, source)) => {
            return vec![Finding::error("server", reason.clone()).mend(with_tls(address, *source))];
        }
    };
    let Some(theirs) = &health.version else {
        let what = format!("{address} answers {}, but not as loopctl does", health.status);
        return vec![Finding::error("server", what).mend("loopctl config set server <url>")];
    };
    let unwell = || format!("{address} is not well ({}): {}", health.status, health.unwell.join(", "));
    let why = "loopctl health; whoever runs the server sees why in its log";
    let mut findings = vec![match (health.status, health.unwell.is_empty()) {
        (200, true) => Finding::ok("server", format!("{address} is well")),
        // It still does its work.
        (200, false) => Finding::warning("server", unwell()).mend(why),
        _ => Finding::error("server", unwell()).mend(why),
    }];
    findings.push(if theirs == version {
        Finding::ok("version", format!("server and command line are {version}"))
    } else {
        let what = format!("the server is {theirs}, this command line {version}");
        Finding::warning("version", what).mend("install the same version on both sides")
    });
    findings.extend(health.ahead.map(clock));
    findings
}

/// How the same address is set with TLS, where it is set now.
fn with_tls(address: &str, source: Source) -> String {
    let address = address.replacen("http:", "https:", 1);
    match source {
        Source::Option => format!("--server {address}"),
        Source::Environment => format!("export LOOPCTL_SERVER={address}"),
        Source::File | Source::Default => format!("loopctl config set server {address}"),
    }
}

fn clock(ahead: TimeDelta) -> Finding {
    let seconds = ahead.num_seconds();
    if seconds.abs() <= DRIFT {
        return Finding::ok("clock", "agrees with the server's");
    }
    let which = if seconds > 0 { "behind" } else { "ahead of" };
    let what = format!("this machine's clock is {} s {which} the server's", seconds.abs());
    Finding::warning("clock", what).mend("timedatectl set-ntp true, on the machine that is wrong")
}

/// Judges the key.
pub(super) fn key(key: &Key, now: DateTime<Utc>) -> Vec<Finding> {
    let of = |Named { masked, from }: &Named| format!("{masked} (from {from})");
    match key {
        Key::Missing => vec![
            Finding::error("key", "There is no key")
                .mend("export LOOPCTL_AGENT_KEY=<key>, or loopctl auth login --server <url> --key-stdin"),
        ],
        Key::Unknown(why) => vec![Finding::note("key", format!("not looked at: {why}"))],
        Key::Refused(401, _, named) => {
            let what = format!("{} is not accepted: unknown, revoked or expired", of(named));
            vec![
                Finding::error("key", what)
                    .mend("loopctl keys create --name <name> --role agent, with a user key"),
            ]
        }
        Key::Refused(status, message, named) => {
            let what = format!("{} is refused ({status}): {message}", of(named));
            vec![Finding::error("key", what).mend("loopctl auth status")]
        }
        Key::Superadmin(named) => {
            let what = format!("{} is a superadmin's, and belongs to no tenant", of(named));
            vec![
                Finding::warning("key", what)
                    .mend("loopctl auth login --server <url>, with a key of a tenant"),
            ]
        }
        Key::Accepted(accepted, named) => accepted_key(accepted, &of(named), now),
    }
}

fn accepted_key(key: &Accepted, shown: &str, now: DateTime<Utc>) -> Vec<Finding> {
    let Accepted { id, name, role, tenant, agent, expires_at } = key;
    let mut findings = vec![Finding::ok("key", format!("{shown}: {name:?}, role {role}, tenant {tenant}"))];
    match agent {
        Some(agent) => findings.push(Finding::ok("agent", format!("the key is that of agent {agent}"))),
        // People need none.
        None if role == "user" => {}
        None => {
            let mend = match role.as_str() {
                "orchestrator" => {
                    "loopctl keys create --name <name> --role orchestrator --agent <agent>, with a user key"
                }
                _ => "loopctl agent register --name <name> --type implementer",
            };
            let what = "the key has no agent: with it nothing can be claimed, reported, reviewed or verified";
            findings.push(Finding::warning("agent", what).mend(mend));
        }
    }
    if let Some(at) = expires_at.filter(|at| *at - now < TimeDelta::days(SOON)) {
        let what = format!("the key expires at {}", at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        findings.push(Finding::warning("key", what).mend(format!("loopctl keys rotate {id}")));
    }
    findings
}

/// Judges the project.
pub(super) fn project(project: &Project) -> Option<Finding> {
    match project {
        Project::Unknown => None,
        Project::NotSet => Some(
            Finding::note("project", "none is set: story numbers need one where a tenant has several")
                .mend("loopctl config set project <slug>, or set LOOPCTL_PROJECT"),
        ),
        Project::Found(name) => Some(Finding::ok("project", format!("{name} is there"))),
        Project::NotFound(why) => Some(
            Finding::error("project", why.clone())
                .mend("loopctl project list; loopctl config set project <slug>"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn of(health: Health) -> Vec<Finding> {
        server(Some(&Server { address: "http://h".to_owned(), answer: Ok(health) }), "1.0.0")
    }

    fn well() -> Health {
        Health { status: 200, version: Some("1.0.0".to_owned()), unwell: Vec::new(), ahead: None }
    }

    fn levels(findings: &[Finding]) -> Vec<(&str, Level)> {
        findings.iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn a_server_that_is_not_there_or_none_is_an_error() {
        let silent = |silence| Server { address: "http://h".to_owned(), answer: Err(silence) };
        let away = silent(Silence::Unreached("Cannot reach http://h".to_owned()));
        for (source, mend) in [
            (Source::Option, "--server https://h"),
            (Source::Environment, "export LOOPCTL_SERVER=https://h"),
            (Source::File, "loopctl config set server https://h"),
        ] {
            let findings = server(Some(&silent(Silence::Plain("plain".to_owned(), source))), "1");
            assert_eq!(levels(&findings), [("server", Level::Error)]);
            assert_eq!(findings[0].mend.as_deref(), Some(mend));
        }
        for findings in [server(None, "1"), server(Some(&away), "1"), of(Health { version: None, ..well() })]
        {
            assert_eq!(levels(&findings), [("server", Level::Error)]);
            assert!(findings[0].mend.is_some());
        }
        let unwell = Health { status: 503, unwell: vec!["database: error".to_owned()], ..well() };
        let findings = of(unwell);
        assert_eq!(findings[0].what, "http://h is not well (503): database: error");
        assert_eq!(findings[0].level, Level::Error);
        let still = of(Health { unwell: vec!["partitions: error".to_owned()], ..well() });
        assert_eq!(still[0].level, Level::Warning);
    }

    #[test]
    fn another_version_and_another_time_are_warnings() {
        assert_eq!(levels(&of(well())), [("server", Level::Ok), ("version", Level::Ok)]);
        let other = of(Health { version: Some("2.0.0".to_owned()), ..well() });
        assert_eq!(other[1].what, "the server is 2.0.0, this command line 1.0.0");
        assert_eq!(other[1].level, Level::Warning);
        let ahead = |seconds| of(Health { ahead: Some(TimeDelta::seconds(seconds)), ..well() }).remove(2);
        for fine in [-DRIFT, 0, DRIFT] {
            assert_eq!(ahead(fine).level, Level::Ok, "{fine}");
        }
        assert_eq!(ahead(-31).what, "this machine's clock is 31 s ahead of the server's");
        assert_eq!(ahead(31).what, "this machine's clock is 31 s behind the server's");
        assert_eq!(ahead(31).level, Level::Warning);
    }

    #[test]
    fn a_key_is_judged_by_what_it_is_good_for() {
        let named = || Named { masked: "lc_01234...".to_owned(), from: "LOOPCTL_API_KEY" };
        let now = DateTime::parse_from_rfc3339("2026-11-29T10:00:00Z").unwrap().to_utc();
        assert_eq!(levels(&key(&Key::Missing, now)), [("key", Level::Error)]);
        let refused = key(&Key::Refused(401, "Invalid API key".to_owned(), named()), now);
        assert_eq!(levels(&refused), [("key", Level::Error)]);
        assert!(refused[0].what.starts_with("lc_01234... (from LOOPCTL_API_KEY) is not accepted"));
        assert_eq!(levels(&key(&Key::Superadmin(named()), now)), [("key", Level::Warning)]);
        let accepted = |role: &str, agent: Option<&str>, days: Option<i64>| {
            let accepted = Accepted {
                id: "k".to_owned(),
                name: "alice".to_owned(),
                role: role.to_owned(),
                tenant: "acme".to_owned(),
                agent: agent.map(ToOwned::to_owned),
                expires_at: days.map(|days| now + TimeDelta::days(days)),
            };
            key(&Key::Accepted(Box::new(accepted), named()), now)
        };
        assert_eq!(levels(&accepted("agent", Some("a"), None)), [("key", Level::Ok), ("agent", Level::Ok)]);
        // An agent's key registers one; that of an orchestrator is made for one.
        for (role, mend) in [("agent", "loopctl agent register"), ("orchestrator", "loopctl keys create")] {
            let findings = accepted(role, None, None);
            assert_eq!(levels(&findings)[1], ("agent", Level::Warning));
            assert!(findings[1].mend.as_ref().unwrap().starts_with(mend), "{role}");
        }
        assert_eq!(levels(&accepted("user", None, Some(30))), [("key", Level::Ok)]);
        let soon = accepted("user", None, Some(6));
        assert_eq!(soon[1].what, "the key expires at 2026-12-05T10:00:00Z");
        assert_eq!(soon[1].mend.as_deref(), Some("loopctl keys rotate k"));
    }

    #[test]
    fn a_project_that_is_not_there_is_an_error() {
        let level = |found: &Project| project(found).map(|finding| finding.level);
        assert_eq!(level(&Project::Unknown), None);
        assert_eq!(level(&Project::NotSet), Some(Level::Note));
        assert_eq!(level(&Project::Found("my-app".to_owned())), Some(Level::Ok));
        assert_eq!(level(&Project::NotFound("Project x not found".to_owned())), Some(Level::Error));
    }
}
