//! An example for every command, which its help ends with. A test parses each of them, and says which command has none.
//!
//! They go on from each other: what one of them makes, others name.

/// The command, and what is typed.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("serve", &["loopctl serve --data-dir ./data --port 4000"]),
    ("worker", &["loopctl worker --database-url postgres://loopctl@db/loopctl"]),
    ("migrate", &["loopctl migrate --database-url postgres://loopctl@db/loopctl"]),
    (
        "operator tenant create",
        &["loopctl operator tenant create --name Acme --slug acme --email you@acme.example"],
    ),
    ("operator superadmin create-key", &["loopctl operator superadmin create-key --name root"]),
    ("operator superadmin list-keys", &["loopctl operator superadmin list-keys"]),
    (
        "operator superadmin revoke-key",
        &["loopctl operator superadmin revoke-key 0192aaaa-0000-7000-8000-000000000001"],
    ),
    ("operator secrets reencrypt", &["loopctl operator secrets reencrypt"]),
    ("operator jobs list", &["loopctl operator jobs list --format human"]),
    (
        "operator jobs run",
        &[
            "loopctl operator jobs run cost_rollup --tenant acme --from 2026-11-01 --to 2026-11-30",
            "loopctl operator jobs run audit_partitions --args '{\"retention_days\": 30}'",
        ],
    ),
    ("operator audit verify", &["loopctl operator audit verify --tenant acme --format human"]),
    ("operator audit discover-violators", &["loopctl operator audit discover-violators"]),
    ("operator violators scan", &["loopctl operator violators scan"]),
    ("operator wiki check-links", &["loopctl operator wiki check-links"]),
    ("operator check", &["loopctl operator check"]),
    ("demo", &["loopctl demo --agents 4"]),
    ("mcp", &["claude mcp add loopctl -- loopctl mcp"]),
    ("doctor", &["loopctl doctor --format human"]),
    ("hook stop", &["echo '{\"session_id\": \"one\"}' | loopctl hook stop --host claude-code"]),
    (
        "hook subagent-stop",
        &["echo '{\"session_id\": \"one\"}' | loopctl hook subagent-stop --host claude-code"],
    ),
    (
        "auth login",
        &[
            "loopctl auth login --server http://localhost:4000",
            "loopctl auth login --server https://loopctl.local:8443 --insecure --key-stdin < key",
        ],
    ),
    ("auth status", &["loopctl auth status --format human"]),
    ("auth whoami", &["loopctl auth whoami"]),
    ("config set", &["loopctl config set project my-app", "loopctl config set format human"]),
    ("config get", &["loopctl config get project"]),
    ("config show", &["loopctl config show"]),
    ("tenant info", &["loopctl tenant info --format human"]),
    ("tenant register", &["loopctl tenant register"]),
    ("tenant update", &["loopctl tenant update --setting max_projects=100"]),
    (
        "tenant audit-key",
        &["loopctl tenant audit-key", "loopctl tenant audit-key --pem | openssl pkey -pubin -text"],
    ),
    ("tenant authenticators", &["loopctl tenant authenticators --format human"]),
    ("keys create", &["loopctl keys create --name worker-1 --role agent"]),
    ("keys list", &["loopctl keys list --format human"]),
    ("keys rotate", &["loopctl keys rotate worker-1 --grace-hours 1"]),
    ("keys revoke", &["loopctl keys revoke lc_y8tLZ"]),
    ("agent register", &["loopctl agent register --name worker-1 --type implementer"]),
    ("agent list", &["loopctl agent list --type reviewer --format human"]),
    ("agent show", &["loopctl agent show worker-1"]),
    (
        "project create",
        &["loopctl project create 'My App' --slug my-app --repo https://github.com/acme/my-app"],
    ),
    ("project list", &["loopctl project list --format human"]),
    ("project info", &["loopctl project info my-app"]),
    ("project update", &["loopctl project update my-app --mission 'Tools for everybody'"]),
    ("project archive", &["loopctl project archive my-app"]),
    ("epic list", &["loopctl epic list --project my-app --format human"]),
    ("epic create", &["loopctl epic create --number 2 --title 'User authentication' --project my-app"]),
    ("epic show", &["loopctl epic show 2 --project my-app --format human"]),
    ("epic update", &["loopctl epic update 2 --phase p1"]),
    ("epic delete", &["loopctl epic delete 2"]),
    (
        "story list",
        &[
            "loopctl story list --project my-app --format human",
            "loopctl story list --epic 2 --verified-status rejected",
        ],
    ),
    (
        "story create",
        &[
            "loopctl story create --epic 2 --number 2.1 --title 'Log in' --hours 4 --criteria '[{\"criterion\": \"A wrong password gives 401\"}]'",
        ],
    ),
    (
        "story show",
        &[
            "loopctl story show 2.1 --project my-app --format human",
            "loopctl story show US-2.1 --format human --full",
        ],
    ),
    ("story update", &["loopctl story update 2.1 --hours 8"]),
    ("story delete", &["loopctl story delete 2.1"]),
    ("deps graph", &["loopctl deps graph --project my-app --format human"]),
    ("deps list", &["loopctl deps list 2 --format human"]),
    ("deps add", &["loopctl deps add 2.2 2.1", "loopctl deps add 2 1 --epic"]),
    ("deps remove", &["loopctl deps remove 2.2 2.1"]),
    ("init", &["loopctl init --host claude-code --dry-run"]),
    ("import", &["loopctl import plan/ --project my-app", "loopctl import backlog.json --merge"]),
    ("export", &["loopctl export --project my-app --dir plan", "loopctl export --out my-app.json"]),
    (
        "status",
        &["loopctl status --project my-app --format human", "loopctl status --epic 2", "loopctl status 2.1"],
    ),
    ("next", &["loopctl next --project my-app --limit 5 --format human"]),
    ("blocked", &["loopctl blocked --project my-app --format human"]),
    ("pending", &["loopctl pending --project my-app --format human"]),
    ("history", &["loopctl history 2.1 --format human"]),
    (
        "audit",
        &[
            "loopctl audit --since 2h --format human",
            "loopctl audit --entity-type story --action verified --until 2026-03-01",
            "loopctl audit --all > audit.json",
        ],
    ),
    ("changes", &["loopctl changes --since 1h --format human", "loopctl changes --follow"]),
    ("contract", &["loopctl contract 2.1"]),
    ("claim", &["loopctl claim 2.1", "loopctl claim 2.2 2.3 2.4"]),
    ("start", &["loopctl start 2.1"]),
    ("request-review", &["loopctl request-review 2.1"]),
    (
        "report",
        &[
            "loopctl report 2.1 --artifact '{\"artifact_type\": \"code\", \"path\": \"src/login.rs\", \"exists\": true}'",
        ],
    ),
    ("unclaim", &["loopctl unclaim 2.1"]),
    (
        "review-complete",
        &[
            "loopctl review-complete 2.1 --review-type code --findings-count 2 --fixes-count 2 --summary 'Both were fixed'",
        ],
    ),
    ("verify", &["loopctl verify 2.1 --summary 'Every criterion was checked'"]),
    ("reject", &["loopctl reject 2.1 --reason 'AC-2 has no test'"]),
    ("force-unclaim", &["loopctl force-unclaim 2.1"]),
    ("verify-all", &["loopctl verify-all 2 --summary 'Every criterion was checked'"]),
    ("mark-complete", &["loopctl mark-complete 1.1 1.2 --summary 'Shipped last year'"]),
    ("backfill", &["loopctl backfill 1.3 --reason 'Done by hand' --pr 17"]),
    ("verifications", &["loopctl verifications 2.1 --format human"]),
    (
        "artifacts",
        &[
            "loopctl artifacts 2.1 --format human",
            "loopctl artifacts 2.1 --add '{\"artifact_type\": \"test\", \"path\": \"tests/login.rs\"}'",
        ],
    ),
    ("criteria", &["loopctl criteria 2.1 --format human"]),
    (
        "state save",
        &[
            "loopctl state save --data '{\"wave\": 1}' --project my-app",
            "loopctl state save --data @state.json",
        ],
    ),
    ("state load", &["loopctl state load --project my-app"]),
    ("state history", &["loopctl state history --format human"]),
    (
        "cost-summary",
        &[
            "loopctl cost-summary --project my-app --format human",
            "loopctl cost-summary --by-agent --format human",
        ],
    ),
    (
        "token-usage",
        &[
            "loopctl token-usage --project my-app --agent worker-1 --format human",
            "loopctl token-usage --story 2.1",
        ],
    ),
    ("token-report", &["loopctl token-report --story 2.1 --format human"]),
    ("cost-anomalies", &["loopctl cost-anomalies --project my-app --format human"]),
    ("anomalies", &["loopctl anomalies --include-resolved --format human"]),
    ("analytics trends", &["loopctl analytics trends --weekly --since 30d --format human"]),
    ("analytics models", &["loopctl analytics models --project my-app --format human"]),
    ("analytics model-mix", &["loopctl analytics model-mix --agent worker-1 --format human"]),
    ("analytics model-profile", &["loopctl analytics model-profile worker-1 --format human"]),
    (
        "budget set",
        &[
            "loopctl budget set --scope project --limit 50 --unit dollars",
            "loopctl budget set --scope per_story --limit 200000 --enforcement block",
        ],
    ),
    ("budget list", &["loopctl budget list --format human"]),
    ("budget show", &["loopctl budget show 0192aaaa-0000-7000-8000-000000000001 --format human"]),
    ("budget delete", &["loopctl budget delete 0192aaaa-0000-7000-8000-000000000001"]),
    (
        "usage report",
        &["loopctl usage report --story 2.1 --input 12000 --output 3000 --model claude-opus-4 --cost 180000"],
    ),
    ("usage correct", &["loopctl usage correct 0192aaaa-0000-7000-8000-000000000001 --cost -3500"]),
    ("usage delete", &["loopctl usage delete 0192aaaa-0000-7000-8000-000000000001"]),
    ("skill list", &["loopctl skill list --format human"]),
    ("skill get", &["loopctl skill get loopctl:review --prompt"]),
    ("skill create", &["loopctl skill create --file review.md --name team:review"]),
    ("skill update", &["loopctl skill update team:review --file review.md --changelog 'Name the tests'"]),
    ("skill history", &["loopctl skill history team:review --format human"]),
    ("skill archive", &["loopctl skill archive team:review"]),
    ("skill import", &["loopctl skill import skills/"]),
    ("skill stats", &["loopctl skill stats team:review --format human"]),
    ("skill cost-performance", &["loopctl skill cost-performance team:review --format human"]),
    ("skill results", &["loopctl skill results team:review --version 2 --format human"]),
    ("skill record", &["loopctl skill record team:review --story 2.1 --metrics '{\"findings_count\": 4}'"]),
    ("ui-test start", &["loopctl ui-test start --guide-reference docs/ui.md --project my-app"]),
    (
        "ui-test finding",
        &[
            "loopctl ui-test finding 0192aaaa-0000-7000-8000-000000000001 --severity bug --title 'No focus ring'",
        ],
    ),
    (
        "ui-test complete",
        &[
            "loopctl ui-test complete 0192aaaa-0000-7000-8000-000000000001 --summary 'One bug' --status failed",
        ],
    ),
    ("ui-test list", &["loopctl ui-test list --status running --format human"]),
    ("ui-test show", &["loopctl ui-test show 0192aaaa-0000-7000-8000-000000000001 --format human"]),
    (
        "webhook create",
        &["loopctl webhook create --url https://ci.example.com/hook --events story.verified,story.rejected"],
    ),
    ("webhook list", &["loopctl webhook list --format human"]),
    ("webhook show", &["loopctl webhook show 0192aaaa-0000-7000-8000-000000000001 --format human"]),
    ("webhook update", &["loopctl webhook update 0192aaaa-0000-7000-8000-000000000001 --active true"]),
    ("webhook test", &["loopctl webhook test 0192aaaa-0000-7000-8000-000000000001"]),
    (
        "webhook deliveries",
        &["loopctl webhook deliveries 0192aaaa-0000-7000-8000-000000000001 --status failed --format human"],
    ),
    (
        "webhook redeliver",
        &[
            "loopctl webhook redeliver 0192aaaa-0000-7000-8000-000000000001 0192aaaa-0000-7000-8000-000000000002",
        ],
    ),
    ("webhook delete", &["loopctl webhook delete 0192aaaa-0000-7000-8000-000000000001"]),
    ("admin tenants", &["loopctl admin tenants --search acme --format human"]),
    ("admin tenant", &["loopctl admin tenant acme"]),
    ("admin suspend", &["loopctl admin suspend acme"]),
    ("admin activate", &["loopctl admin activate acme"]),
    (
        "admin clear-halt",
        &[
            "loopctl admin clear-halt acme --reason 'Looked through with its owner'",
            "loopctl admin clear-halt acme --assertion @signed.json",
        ],
    ),
    ("admin stats", &["loopctl admin stats --format human"]),
    ("admin audit", &["loopctl admin audit --tenant acme --since 7d --format human"]),
    ("admin violators", &["loopctl admin violators --status all --format human"]),
    (
        "admin resolve",
        &["loopctl admin resolve 0192aaaa-0000-7000-8000-000000000001 --note 'Mended by hand'"],
    ),
    ("admin ignore", &["loopctl admin ignore 0192aaaa-0000-7000-8000-000000000001 --note 'An old import'"]),
    (
        "admin impersonate",
        &[
            "loopctl admin impersonate acme -- project list",
            "loopctl admin impersonate acme get /api/v1/tenants/me",
        ],
    ),
    ("lifecycle", &["loopctl lifecycle --format human"]),
    ("health", &["loopctl health --server http://localhost:4000"]),
    (
        "api",
        &[
            "loopctl api GET '/stories/ready?limit=1'",
            "loopctl api POST /projects '{\"name\": \"My App\", \"slug\": \"my-app\"}'",
        ],
    ),
];

/// The command with examples at the end of its help, and so all below it. Some have some already.
pub(crate) fn with_examples(command: clap::Command) -> clap::Command {
    below(command, "")
}

fn below(command: clap::Command, path: &str) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}").trim_start().to_owned();
        command.mut_subcommand(name, |one| below(with_own(one, &path), &path))
    })
}

fn with_own(command: clap::Command, path: &str) -> clap::Command {
    let Some((_, lines)) = EXAMPLES.iter().find(|(name, _)| *name == path) else { return command };
    let heading = if lines.len() == 1 { "Example:" } else { "Examples:" };
    let examples = format!("{heading}\n  {}", lines.join("\n  "));
    let whole = match command.get_after_help() {
        Some(before) => format!("{before}\n\n{examples}"),
        None => examples,
    };
    command.after_help(whole)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;
    use crate::usage;

    /// What a shell makes of a line, as far as examples need it: words, and what stands in single quotation marks.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut is_quoted, mut word) = (Vec::new(), false, String::new());
        for c in line.chars() {
            match c {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
                c => word.push(c),
            }
        }
        words.push(word);
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }

    fn every(command: &clap::Command, path: &str, check: &mut impl FnMut(&str, &clap::Command)) {
        for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
            let path = format!("{path} {}", one.get_name()).trim_start().to_owned();
            match one.has_subcommands() {
                true => every(one, &path, check),
                false => check(&path, one),
            }
        }
    }

    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        let root = with_examples(Cli::command());
        let (mut missing, mut parsed) = (Vec::new(), 0);
        every(&root, "", &mut |path, command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> =
                help.lines().filter(|line| line.trim_start().contains("loopctl ")).collect();
            if lines.is_empty() {
                missing.push(path.to_owned());
            }
            for line in lines.iter().filter(|line| line.starts_with("  ")) {
                // What comes before a pipe, and where output goes, is the shell's.
                let line = line.rsplit("| ").next().unwrap_or_default();
                let line = line.split([';', '>', '<', '#']).next().unwrap_or_default();
                let words = words(line.trim());
                if words.first().is_some_and(|word| word == "loopctl") {
                    let parse = usage::parse(words.into_iter().map(Into::into));
                    assert!(parse.is_ok(), "{path}: {line}: {parse:?}");
                    parsed += 1;
                }
            }
        });
        assert!(missing.is_empty(), "without an example: {}", missing.join(", "));
        assert!(parsed > 100, "{parsed}");
    }

    #[test]
    fn no_example_is_of_a_command_that_is_not_there() {
        let mut known = Vec::new();
        every(&Cli::command(), "", &mut |path, _| known.push(path.to_owned()));
        for (path, _) in EXAMPLES {
            assert!(known.iter().any(|name| name == path), "{path}");
        }
    }
}
