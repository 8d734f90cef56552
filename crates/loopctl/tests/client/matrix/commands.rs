//! Every command with arguments, and what it is asked to do.

/// What a command is to the matrix.
pub(super) enum Row {
    /// It asks a server.
    Asks(Asking),
    /// It works on a database, where a server has its own.
    Operates(Operating),
    /// It asks none, or is more than one question, and is tested elsewhere; with the reason.
    Apart(&'static str, &'static str),
}

/// A command line that asks a server.
pub(super) struct Asking {
    /// As the parser knows it.
    pub(super) command: &'static str,
    /// What else is typed. `+` is a blank; `DIR` a directory with files, `SERVER` the address.
    pub(super) arguments: &'static str,
    /// Where it differs from others.
    pub(super) but: &'static [But],
}

/// A command line on the server's side.
pub(super) struct Operating {
    /// As the parser knows it.
    pub(super) command: &'static str,
    /// What else is typed. `DIR` is a directory.
    pub(super) arguments: &'static str,
    /// Which databases it works on.
    pub(super) on: Databases,
}

/// Databases that a command works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Databases {
    /// One that is named by its URL, or loopctl's own, which it starts where nobody has.
    Any,
    /// The same, but it waits until a server has started loopctl's own.
    OfServers,
    /// Loopctl's own alone.
    Own,
}

/// How a command may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum But {
    /// What it prints is no JSON: a sentence, a file.
    PrintsText,
    /// It asks once: what it tells is how the server is now.
    AsksOnce,
    /// It names a server and a key itself, and so is always configured.
    BringsServer,
    /// It needs no key.
    NeedsNoKey,
    /// It says in its own words that there is no such thing.
    WordsNotFound,
}

use But::{AsksOnce, BringsServer, NeedsNoKey, PrintsText, WordsNotFound};

const fn asks(command: &'static str, arguments: &'static str) -> Row {
    but(command, arguments, &[])
}

const fn but(command: &'static str, arguments: &'static str, but: &'static [But]) -> Row {
    Row::Asks(Asking { command, arguments, but })
}

const fn operates(command: &'static str, arguments: &'static str) -> Row {
    Row::Operates(Operating { command, arguments, on: Databases::Any })
}

const fn operates_on(command: &'static str, arguments: &'static str, on: Databases) -> Row {
    Row::Operates(Operating { command, arguments, on })
}

const fn apart(command: &'static str, why: &'static str) -> Row {
    Row::Apart(command, why)
}

/// All of them, some more than once. Ids stand where a name would be one more question.
pub(super) const TABLE: &[Row] = &[
    operates("serve", "--port 0"),
    operates_on("worker", "", Databases::OfServers),
    operates("migrate", ""),
    operates("operator tenant create", "--name Acme --slug acme --email a@example.com"),
    operates("operator superadmin create-key", "--name a"),
    operates("operator superadmin list-keys", ""),
    operates("operator superadmin revoke-key", "0192aaaa-0000-7000-8000-000000000001"),
    operates("operator secrets reencrypt", "--dry-run"),
    operates("operator jobs list", ""),
    operates("operator jobs run", "prune_jobs"),
    operates("operator audit verify", ""),
    operates("operator audit discover-violators", ""),
    operates("operator violators scan", ""),
    operates("operator wiki check-links", ""),
    operates("operator check", ""),
    operates_on("backup", "--out DIR/backup.tar", Databases::Own),
    operates_on("restore", "DIR/missing.tar", Databases::Own),
    apart("watch", "takes a terminal: tests/server/watch"),
    apart("demo", "runs a server of its own"),
    apart("mcp", "answers a client in a protocol of its own: tests/mcp"),
    apart("doctor", "tells what is wrong instead of failing: doctor.rs"),
    apart("hook stop", "never stands in the way: hook/"),
    apart("hook subagent-stop", "never stands in the way: hook/"),
    apart("completions", "asks nobody"),
    apart("man", "asks nobody"),
    apart("config set", "asks nobody"),
    apart("config get", "asks nobody"),
    apart("config show", "asks nobody"),
    apart("init", "asks nobody"),
    apart("tenant register", "says where that is done: setup.rs"),
    but("auth login", "--server SERVER --key lc_k", &[PrintsText, BringsServer]),
    asks("auth status", ""),
    asks("auth whoami", ""),
    asks("tenant info", ""),
    asks("tenant update", "--setting max_projects=5"),
    asks("tenant audit-key", ""),
    asks("tenant authenticators", ""),
    asks("keys create", "--name a --role agent"),
    asks("keys create", "--name a --role agent --agent worker"),
    asks("keys list", ""),
    asks("keys rotate", "ID"),
    asks("keys rotate", "lc_k"),
    asks("keys revoke", "ID"),
    asks("keys revoke", "worker"),
    asks("agent register", "--name a --type implementer"),
    asks("agent list", ""),
    asks("agent show", "ID"),
    asks("agent show", "worker"),
    asks("project create", "Other"),
    asks("project list", ""),
    asks("project info", ""),
    asks("project info", "my-app"),
    asks("project update", "ID --mission m"),
    asks("project archive", "ID"),
    asks("epic list", ""),
    asks("epic create", "--number 3 --title t"),
    asks("epic show", "ID"),
    asks("epic show", "2"),
    asks("epic update", "ID --title t"),
    asks("epic delete", "ID"),
    asks("story list", ""),
    asks("story create", "--epic 2 --number 2.7 --title t"),
    asks("story show", "ID"),
    asks("story show", "2.1"),
    asks("story update", "ID --title t"),
    asks("story delete", "2.1"),
    asks("deps graph", ""),
    asks("deps list", ""),
    asks("deps list", "ID"),
    asks("deps add", "ID OTHER"),
    asks("deps remove", "ID"),
    asks("import", "DIR/plan.json"),
    asks("import", "DIR/plan --merge"),
    asks("export", ""),
    but("export", "--dir DIR/written --force", &[PrintsText]),
    asks("status", "--project my-app"),
    asks("status", "--epic ID"),
    asks("status", "ID"),
    asks("next", ""),
    asks("blocked", ""),
    asks("pending", ""),
    asks("history", "ID"),
    asks("audit", "--since 2h"),
    asks("audit", "--all"),
    asks("changes", "--since 2h"),
    asks("contract", "ID"),
    asks("claim", "2.1"),
    asks("claim", "ID OTHER"),
    asks("start", "ID"),
    asks("request-review", "ID"),
    asks("report", "ID --artifact {}"),
    asks("unclaim", "ID"),
    asks("review-complete", "ID --review-type manual"),
    asks("verify", "ID --summary s"),
    asks("verify", "ID OTHER --summary s"),
    asks("reject", "ID --reason r"),
    asks("reject", "ID OTHER --reason r"),
    asks("force-unclaim", "ID"),
    asks("verify-all", "ID --summary s"),
    asks("mark-complete", "ID --summary s"),
    asks("backfill", "ID --reason r"),
    asks("verifications", "ID"),
    asks("artifacts", "ID"),
    asks("artifacts", r#"ID --add {"artifact_type":"file","path":"a"}"#),
    asks("criteria", "ID"),
    asks("state save", "--data {}"),
    but("state load", "", &[WordsNotFound]),
    asks("state history", ""),
    asks("cost-summary", ""),
    asks("cost-summary", "--by-epic"),
    asks("token-usage", "--by-agent"),
    asks("token-usage", "--agent worker"),
    asks("token-report", "--story ID"),
    asks("cost-anomalies", "--include-resolved"),
    asks("anomalies", "--resolve ID"),
    asks("analytics trends", "--weekly --since 7d"),
    asks("analytics models", ""),
    asks("analytics model-mix", "--agent worker"),
    asks("analytics model-profile", "ID"),
    asks("budget set", "--scope story --scope-id ID --limit 5"),
    asks("budget list", ""),
    asks("budget show", "ID"),
    asks("budget delete", "ID"),
    asks("usage report", "--story ID --input 1 --output 1 --model m --cost 1"),
    asks("usage correct", "ID --cost 1"),
    asks("usage delete", "ID"),
    asks("skill list", ""),
    asks("skill get", "ID"),
    asks("skill get", "review --version 1"),
    asks("skill create", "--file DIR/skill.md"),
    asks("skill update", "ID --file DIR/skill.md"),
    asks("skill history", "ID"),
    asks("skill archive", "ID"),
    asks("skill import", "DIR/skills"),
    asks("skill stats", "ID"),
    asks("skill cost-performance", "ID"),
    asks("skill results", "ID"),
    asks("skill record", "ID --story ID"),
    asks("knowledge search", "retry"),
    asks("knowledge context", "retry"),
    asks("knowledge get", "ID"),
    asks("knowledge get", "a-slug"),
    asks("knowledge create", "--title t --file DIR/article.md"),
    asks("knowledge update", "ID --title t"),
    asks("knowledge publish", "ID"),
    asks("knowledge publish", "ID OTHER"),
    asks("knowledge unpublish", "ID"),
    asks("knowledge archive", "ID"),
    asks("knowledge drafts", ""),
    asks("knowledge index", ""),
    asks("knowledge lint", ""),
    but("knowledge export", "", &[PrintsText]),
    but("knowledge export", "-o DIR/wiki.zip", &[PrintsText]),
    asks("knowledge ingest", "https://example.com/a"),
    asks("knowledge jobs", ""),
    asks("knowledge links", "ID"),
    asks("knowledge link", "ID relates_to OTHER"),
    asks("knowledge unlink", "ID"),
    asks("knowledge stats", ""),
    asks("ui-test start", ""),
    asks("ui-test finding", "ID --severity bug --title t"),
    asks("ui-test complete", "ID --summary s"),
    asks("ui-test list", ""),
    asks("ui-test show", "ID"),
    asks("webhook create", "--url https://example.com/h --events story.verified"),
    asks("webhook list", ""),
    asks("webhook show", "ID"),
    asks("webhook update", "ID --active true"),
    asks("webhook test", "ID"),
    asks("webhook deliveries", "ID"),
    asks("webhook redeliver", "ID OTHER"),
    but("webhook delete", "ID", &[PrintsText]),
    asks("admin tenants", ""),
    asks("admin tenant", "ID"),
    asks("admin suspend", "acme"),
    asks("admin activate", "ID"),
    asks("admin clear-halt", "acme --reason r"),
    asks("admin stats", ""),
    asks("admin audit", ""),
    asks("admin violators", ""),
    asks("admin resolve", "ID"),
    asks("admin ignore", "ID"),
    asks("admin impersonate", "acme -- tenant info"),
    asks("admin impersonate", "ID post /projects {}"),
    but("health", "", &[AsksOnce, NeedsNoKey]),
    but("lifecycle", "", &[NeedsNoKey]),
    asks("routes", ""),
    but("api", "get /tenants/me", &[NeedsNoKey]),
    but("api", "delete /skills/x", &[NeedsNoKey]),
];
