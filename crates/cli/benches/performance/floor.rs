//! The floor: what PostgreSQL alone makes of the same statements, through pgbench over the same socket.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::service::Service;

/// Runs scripts, one per transaction and chosen at random, and gives transactions per second.
pub(crate) async fn run(service: &Service, scripts: &[String], clients: usize, span: Duration) -> f64 {
    let directory = service.data_dir.join("pgbench");
    std::fs::create_dir_all(&directory).expect("a directory for scripts");
    let mut command = Command::new(pgbench());
    command.args(["-n", "-M", "prepared", "-U", "loopctl_app", "-j", "1"]);
    command.args(["-c", &clients.to_string(), "-T", &span.as_secs().to_string()]);
    command.arg("-h").arg(service.socket_dir());
    for (number, script) in scripts.iter().enumerate() {
        let path = directory.join(format!("{number}.sql"));
        std::fs::write(&path, script).expect("a script");
        command.arg("-f").arg(path);
    }
    let output = tokio::task::spawn_blocking(move || command.arg("loopctl").output())
        .await
        .expect("pgbench runs")
        .expect("pgbench runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn pgbench() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin/pgbench")).filter(|path| path.exists()).max();
    newest.unwrap_or_else(|| PathBuf::from("pgbench"))
}

/// A request's statements as a script: authentication, and the tenant transaction around the rest.
pub(crate) fn script(key_hash: &str, tenant_id: &str, statements: &[String]) -> String {
    let authenticate = bind("caller", "AUTHENTICATE", &[key_hash, "null::uuid"]);
    let tenant = "set local role loopctl_app;\nset local loopctl.tenant_id";
    format!("{authenticate}\nbegin;\n{tenant} = '{tenant_id}';\n{}\ncommit;\n", statements.join("\n"))
}

/// One of the server's statements on one line, with its parameters written in.
pub(crate) fn bind(resource: &str, name: &str, values: &[&str]) -> String {
    let all: HashMap<_, _> =
        loopctl_server::statements().map(|(resource, named)| ((resource, named.name), named.text)).collect();
    let mut sql = all.get(&(resource, name)).unwrap_or_else(|| panic!("{resource}.{name}")).to_string();
    for (index, value) in values.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", index + 1), value);
    }
    sql.split_whitespace().collect::<Vec<_>>().join(" ") + ";"
}
