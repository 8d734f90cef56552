//! `auth login`: only what works is stored, also where the line to the server is not to be trusted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::refused;
use super::team::Team;
use super::tls::Tls;

/// What is stored in the home directory.
fn stored(team: &Team) -> Option<String> {
    fs::read_to_string(team.directory().join(".loopctl/config.json")).ok()
}

#[test]
fn a_login_stores_what_works_and_nothing_else() {
    let team = Team::new();
    let (server, key) = (team.server.base(), team.key("user"));
    let login = |more: &str| team.run_unset(&format!("auth login {more}"));
    let failed = login(&format!("--server {server} --key lc_of_nobody"));
    refused(&failed, 3, "Login failed (401): ");
    assert!(failed.stderr.contains("Check your server URL and API key."), "{failed:?}");
    refused(
        &login(&format!("--key {key}")),
        2,
        "Missing --server. Usage: loopctl auth login --server <url> --key <key>",
    );
    refused(&login(&format!("--server {server} --key-stdin")), 2, "Missing --key");
    assert_eq!(stored(&team), None);

    let saved = login(&format!("--server {server}/ --key {key}"));
    assert_eq!((saved.code, saved.stdout), (0, format!("Credentials saved. Server: {server}\n")));
    let kept = stored(&team).unwrap();
    let settings: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!((settings["server"].as_str(), settings["api_key"].as_str()), (Some(server), Some(key)));
    let mode = |name: &str| fs::metadata(team.directory().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(".loopctl"), mode(".loopctl/config.json")), (0o700, 0o600));
    assert_eq!(team.run_unset("tenant info").json()["tenant"]["slug"], team.slug.as_str());

    // Whoever has mistyped another key goes on with the first one.
    refused(&login(&format!("--server {server} --key lc_of_nobody")), 3, "Login failed (401): ");
    assert_eq!(stored(&team).unwrap(), kept);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_accepted_only_when_asked_for() {
    let team = Team::new();
    let tls = Tls::before(team.server.base());
    let login = format!("auth login --server {} --key {}", tls.address, team.key("user"));
    let failed = team.run_unset(&login);
    refused(&failed, 9, "--cacert FILE trusts a private authority, --insecure accepts any certificate");
    refused(&failed, 9, &format!("Cannot reach {}: ", tls.address));
    assert_eq!(stored(&team), None);
    // A file that vouches for somebody else does not.
    team.write("other.pem", &Tls::before(team.server.base()).certificate);
    refused(&team.run_unset(&format!("{login} --cacert other.pem")), 9, "certificate");
    assert_eq!(stored(&team), None);

    team.run_unset(&format!("{login} --insecure")).success();
    assert_eq!(team.run_unset("tenant info").json()["tenant"]["slug"], team.slug.as_str());
    assert_eq!(team.run_unset("config get insecure").json()["value"], "true");

    fs::remove_dir_all(team.directory().join(".loopctl")).unwrap();
    team.write("own.pem", &tls.certificate);
    team.run_unset(&format!("{login} --cacert own.pem")).success();
    assert_eq!(team.run_unset("tenant info").json()["tenant"]["slug"], team.slug.as_str());
}

/// An address without anybody, and one where nobody speaks TLS.
#[test]
fn a_login_that_reaches_nobody_stores_nothing() {
    let team = Team::new();
    let plain = team.server.base().replace("http://", "https://");
    for server in ["https://127.0.0.1:1", plain.as_str()] {
        let failed =
            team.run_unset(&format!("auth login --server {server} --key {} --timeout 5", team.key("user")));
        refused(&failed, 9, &format!("Cannot reach {server}: "));
        assert!(failed.stderr.contains("  hint: `loopctl auth status`"), "{failed:?}");
        assert_eq!(stored(&team), None);
    }
}
