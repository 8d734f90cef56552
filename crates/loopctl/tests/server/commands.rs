//! Every command that asks a server, against a real one: it succeeds, and prints JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::support::{Daemon, Run, Scratch, command, run_on, wait_for};

#[allow(dead_code, reason = "there it is asked for more than here")]
#[path = "../client/parser.rs"]
mod parser;

/// Commands that ask no server, or are run against one elsewhere.
const APART: &[&str] = &[
    "serve",
    "worker",
    "migrate",
    "operator",
    "backup",
    "restore",
    "demo",
    "mcp",
    "hook",
    "doctor",
    "watch",
    "completions",
    "man",
    "tenant register",
];

/// Commands that print a sentence, whatever the format.
const IN_WORDS: &[&str] = &["auth login", "config set", "export --dir", "knowledge export", "webhook delete"];

/// Who types what, and under which name a part of the answer is known afterwards. `+` is a blank.
const SCENARIO: &str = r#"
user: project create Shop --slug shop
user: keys create --name boss --role agent -> boss=/api_key/raw_key
boss: agent register --name boss --type orchestrator
user: keys create --name lead --role orchestrator --agent boss -> lead=/api_key/raw_key
user: keys create --name alice --role agent -> alice=/api_key/raw_key
user: keys create --name bob --role agent -> bob=/api_key/raw_key
alice: agent register --name alice --type implementer
bob: agent register --name bob --type reviewer
user: keys create --name spare --role agent
user: keys rotate spare -> fresh=/new_key/key_prefix
user: keys revoke $fresh
user: keys list --include-revoked
lead: agent list --type reviewer
lead: agent show bob

user: auth login --server $server
user: auth status
user: auth whoami
user: config set format json
user: config get server
user: config show
user: tenant info
user: tenant update --setting max_projects=7
user: tenant authenticators
alice: health
alice: lifecycle
alice: routes
alice: api get /lifecycle
user: init --dir repository --host codex --yes

user: project list --include-archived
user: project info shop
user: project update shop --mission Sell
lead: epic create --number 1 --title Base
lead: epic create --number 2 --title Users
lead: epic list
lead: epic show 1
lead: epic update 1 --title Basis
lead: story create --epic 1 --number 1.1 --title First --criteria [{"id":"AC-1","description":"works"}]
lead: story create --epic 1 --number 1.2 --title Second
lead: story create --epic 1 --number 1.3 --title Third
lead: story create --epic 1 --number 1.4 --title Fourth
lead: story create --epic 2 --number 2.1 --title Log+in
lead: story create --epic 2 --number 2.2 --title Log+out
lead: story list
lead: story show 1.1
lead: story update 1.1 --description What+comes+first
lead: deps add 2 1 --epic
lead: deps add 1.2 1.1
lead: deps graph
lead: deps list
lead: deps list 1
lead: next
lead: blocked

alice: contract 1.1
alice: claim 1.1
alice: start 1.1
alice: request-review 1.1
bob: report 1.1 --artifact {"artifact_type":"file","path":"a.rs"}
bob: review-complete 1.1 --review-type manual
lead: pending
lead: verify 1.1 --summary Met
alice: contract 1.2
alice: claim 1.2
alice: unclaim 1.2
alice: contract 1.2
alice: claim 1.2
lead: force-unclaim 1.2
alice: contract 1.3
alice: claim 1.3
alice: start 1.3
bob: report 1.3
lead: reject 1.3 --reason Not+met
alice: contract 1.4
alice: claim 1.4
alice: start 1.4
bob: report 1.4
bob: review-complete 1.4 --review-type manual
lead: verify-all 1 --summary Met
lead: mark-complete 2.1 --summary Was+there
lead: backfill 2.2 --reason Was+there
lead: status --project shop
lead: status --epic 1
lead: status 1.1
lead: history 1.1
lead: verifications 1.1
lead: artifacts 1.1
lead: criteria 1.1
user: audit --since 1h
user: audit --all
lead: changes --since 1h
lead: state save --data {"wave":1}
lead: state load
lead: state history

alice: usage report --story 1.1 --input 100 --output 10 --model m --cost 5000 -> usage=/token_usage_report/id
user: usage correct $usage --cost -1000
lead: token-report --story 1.1
lead: cost-summary
lead: token-usage --by-agent
lead: cost-anomalies --include-resolved
lead: anomalies
lead: analytics trends --weekly --since 7d
alice: analytics models
lead: analytics model-mix --agent alice
lead: analytics model-profile alice
user: usage delete $usage
lead: budget set --scope project --limit 100
lead: budget list -> budget=/data/0/id
lead: budget show $budget
user: budget delete $budget

user: skill import skills
user: skill create --file skills/review.md --name second
user: skill update second --file skills/review.md
alice: skill list
alice: skill get second
alice: skill history second
alice: skill stats second
user: skill cost-performance second
alice: skill results second
lead: skill record second --story 1.1
user: skill archive second

alice: knowledge create --title Retry+budgets --file article.md --slug retry-budgets
alice: knowledge create --title Timeouts --file article.md --slug timeouts
lead: knowledge drafts
alice: knowledge link retry-budgets contradicts timeouts -> link=/data/id
lead: knowledge publish retry-budgets
lead: knowledge publish timeouts
alice: knowledge search retry
alice: knowledge context retry
alice: knowledge get retry-budgets
alice: knowledge index
alice: knowledge links timeouts
lead: knowledge lint
lead: knowledge stats
lead: knowledge export -o wiki.zip
lead: knowledge ingest article.md
lead: knowledge jobs
user: knowledge unlink $link
user: knowledge update timeouts --title Time+outs
user: knowledge unpublish timeouts
user: knowledge archive timeouts

lead: ui-test start -> run=/data/id
lead: ui-test finding $run --severity bug --title Wrong
lead: ui-test list
lead: ui-test show $run
lead: ui-test complete $run --summary Done
user: webhook create --url http://127.0.0.1:1/h --events story.verified -> webhook=/webhook/id
user: webhook list
user: webhook show $webhook
user: webhook update $webhook --active true
user: webhook test $webhook
user: webhook deliveries $webhook

root: admin tenants
root: admin tenant acme
root: admin stats
root: admin audit
root: admin suspend acme
root: admin activate acme
root: admin clear-halt acme --reason Looked+through
root: admin impersonate acme -- project list

lead: export
lead: export --dir plan
user: deps remove 2 1 --epic
user: story delete 2.2
user: epic delete 2
lead: import plan --project shop --merge
user: project archive shop
"#;

/// Who may type, what is known by name, and where it is typed.
struct Session<'a> {
    names: BTreeMap<String, String>,
    directory: &'a Path,
    typed: Vec<String>,
}

impl Session<'_> {
    fn run(&self, who: &str, words: &str) -> Run {
        let mut line: Vec<String> = Vec::new();
        for word in words.split(' ') {
            let known = word.strip_prefix('$').map(|name| self.names[name].clone());
            line.push(known.unwrap_or_else(|| word.replace('+', " ")));
        }
        let home = self.directory.display().to_string();
        let server = &self.names["server"];
        let environment =
            [("HOME", home.as_str()), ("LOOPCTL_SERVER", server), ("LOOPCTL_API_KEY", &self.names[who])];
        let output = command("", &environment).args(&line).current_dir(self.directory).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// A line of the scenario.
    fn play(&mut self, step: &str) {
        let (line, kept) = step.split_once(" -> ").map_or((step, None), |(line, kept)| (line, Some(kept)));
        let (who, words) = line.split_once(": ").unwrap();
        let run = self.run(who, words);
        assert_eq!(run.code, 0, "{step}: {run:?}");
        self.typed.push(words.to_owned());
        if IN_WORDS.iter().any(|command| words.starts_with(command)) {
            return;
        }
        let answer: Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{step}: {error}: {run:?}"));
        if let Some((name, pointer)) = kept.and_then(|kept| kept.split_once('=')) {
            let value =
                answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{step}: {answer}"));
            self.names.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// The public half of a key, as signing up in a browser leaves it.
const WITH_AUDIT_KEY: &str = "update tenants set audit_signing_public_key = sha256('a key')";

/// Two keys of agents that belong to none, and are no longer new.
const FORGED: &str = "insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role, inserted_at)
    select gen_random_uuid(), id, 'idle', repeat(number::text, 64), 'lc_idle', 'agent', now() - interval '2 days'
    from tenants, generate_series(1, 2) number";

#[tokio::test]
async fn every_command_succeeds_on_a_real_server() {
    let (scratch, files) = (Scratch::new(), tempfile::tempdir().unwrap());
    let data = scratch.path().to_str().unwrap();
    let server = Daemon::start_with(&[
        ("LOOPCTL_DATA_DIR", data),
        ("LOOPCTL_WEBHOOK_ALLOWED_PRIVATE_CIDRS", "127.0.0.0/8"),
        ("LOOPCTL_WEBHOOK_RETRY_SCHEDULE", "1"),
    ]);
    for (name, text) in
        [("skills/review.md", "Review.\n"), ("article.md", "Text.\n"), ("repository/README.md", "")]
    {
        std::fs::create_dir_all(files.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(files.path().join(name), text).unwrap();
    }
    let key =
        |words: &str| run_on(scratch.path(), words).json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let names = BTreeMap::from([
        ("server".to_owned(), server.base.clone()),
        ("user".to_owned(), key("operator tenant create --name Acme --slug acme --email a@example.com")),
        ("root".to_owned(), key("operator superadmin create-key --name root")),
    ]);
    let mut session = Session { names, directory: files.path(), typed: Vec::new() };
    SCENARIO.lines().filter(|line| !line.is_empty()).for_each(|step| session.play(step));

    // What is sent to nobody fails, and can be sent again.
    let failed = wait_for("failed delivery", || {
        let rows = session.run("user", "webhook deliveries $webhook --status exhausted").json();
        Some(rows["data"][0]["id"].as_str()?.to_owned())
    });
    session.names.insert("delivery".to_owned(), failed);
    session.play("user: webhook redeliver $webhook $delivery");
    session.play("user: webhook delete $webhook");

    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", scratch.path().join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    owner.batch_execute(WITH_AUDIT_KEY).await.unwrap();
    session.play("user: tenant audit-key");
    // Agents that nobody knows are what a scan finds.
    owner.batch_execute(FORGED).await.unwrap();
    run_on(scratch.path(), "operator violators scan").failure(1);
    session.play("root: admin violators --tenant acme -> first=/data/0/id");
    session.play("root: admin violators -> second=/data/1/id");
    session.play("root: admin resolve $first --note mended");
    session.play("root: admin ignore $second");
    server.stop();

    let is_typed = |command: &String| {
        session.typed.iter().any(|words| words == command || words.starts_with(&format!("{command} ")))
    };
    let apart = |command: &String| APART.iter().any(|apart| command.starts_with(apart));
    let untried: BTreeSet<String> =
        parser::commands().into_iter().filter(|command| !is_typed(command) && !apart(command)).collect();
    assert_eq!(untried, BTreeSet::new(), "give them a line in the scenario");
}
