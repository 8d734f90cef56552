//! What the programs that run agents are told of loopctl in a directory: pure, from the text of their files.

use jsonc_parser::{ParseOptions, parse_to_serde_value};
use serde_json::Value;

/// A file of a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// From the directory.
    pub(super) path: &'static str,
    /// Where the MCP servers are, by name.
    pub(super) servers: Option<&'static str>,
    /// Whether hooks are in it.
    pub(super) hooks: bool,
}

/// A program and its files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    /// As people call it.
    pub(super) name: &'static str,
    /// As `hook --host` calls it.
    pub(super) host: &'static str,
    pub(super) places: &'static [Place],
}

const fn servers(path: &'static str, member: &'static str) -> Place {
    Place { path, servers: Some(member), hooks: false }
}

const fn hooks(path: &'static str) -> Place {
    Place { path, servers: None, hooks: true }
}

const fn both(path: &'static str, member: &'static str) -> Place {
    Place { path, servers: Some(member), hooks: true }
}

/// Every program. A path that ends with `*.json` stands for all such files of its directory.
pub(super) const PROGRAMS: [Program; 5] = [
    Program {
        name: "Claude Code",
        host: "claude-code",
        places: &[
            servers(".mcp.json", "mcpServers"),
            hooks(".claude/settings.json"),
            hooks(".claude/settings.local.json"),
        ],
    },
    Program {
        name: "Codex",
        host: "codex",
        places: &[both(".codex/config.toml", "mcp_servers"), hooks(".codex/hooks.json")],
    },
    Program { name: "Gemini CLI", host: "gemini", places: &[both(".gemini/settings.json", "mcpServers")] },
    Program {
        name: "Cursor",
        host: "cursor",
        places: &[servers(".cursor/mcp.json", "mcpServers"), hooks(".cursor/hooks.json")],
    },
    Program {
        name: "VS Code and Copilot",
        host: "copilot",
        places: &[servers(".vscode/mcp.json", "servers"), hooks(".github/hooks/*.json")],
    },
];

/// How a program reaches loopctl.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The command that it starts; None: it goes to an address.
    pub(super) command: Option<String>,
    pub(super) arguments: Vec<String>,
    /// The variables without which it has no key or address.
    pub(super) variables: Vec<String>,
}

/// A file's content, or where it is wrong. The message has nothing of the text, in which a key may be.
pub(super) fn parse(path: &str, text: &str) -> Result<Value, String> {
    if !path.ends_with(".toml") {
        let read = parse_to_serde_value(text, &ParseOptions::default());
        return read.map_err(|error| {
            format!(
                "{path} is not valid JSON (line {}, column {})",
                error.line_display(),
                error.column_display()
            )
        });
    }
    toml_edit::de::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        format!("{path} is not valid TOML (line {})", before.matches('\n').count() + 1)
    })
}

/// The server `loopctl` of a file, if it has one.
pub(super) fn entry(file: &Value, member: &str) -> Option<Entry> {
    let server = file[member]["loopctl"].as_object()?;
    let text = |name: &str| server.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let mut variables = Vec::new();
    for name in ["command", "args", "env", "url", "httpUrl", "headers", "http_headers"] {
        server
            .get(name)
            .into_iter()
            .for_each(|value| texts(value, &mut |text| references(text, &mut variables)));
    }
    // Codex names them.
    for name in ["env_vars", "bearer_token_env_var", "env_http_headers"] {
        let mut named = |text: &str| variables.push(text.to_owned());
        match server.get(name) {
            Some(Value::Array(items)) => {
                // Of a variable of another machine nothing is known here.
                let local = items.iter().filter(|item| item["source"] != "remote");
                local.filter_map(|item| item.as_str().or(item["name"].as_str())).for_each(&mut named);
            }
            Some(value) => texts(value, &mut named),
            None => {}
        }
    }
    variables.sort();
    variables.dedup();
    let arguments = server.get("args").and_then(Value::as_array).into_iter().flatten();
    let arguments = arguments.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    Some(Entry { command: text("command"), arguments, variables })
}

/// A hook that calls loopctl when an agent stops.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StopHook {
    /// What is started, as a shell finds it; None: what stands there is known to the shell of the program alone.
    pub(super) command: Option<String>,
    /// The program that it says it is called by.
    pub(super) host: String,
}

/// Those of a file.
pub(super) fn stop_hooks(file: &Value) -> Vec<StopHook> {
    let mut found = Vec::new();
    texts(&file["hooks"], &mut |text| {
        let words = words(text);
        let Some(at) = words
            .windows(2)
            .position(|pair| pair[0] == "hook" && ["stop", "subagent-stop"].contains(&pair[1].as_str()))
        else {
            return;
        };
        // Options may stand between.
        let Some(command) = words[..at].iter().rev().find(|word| word.ends_with("loopctl")) else {
            return;
        };
        let after = &words[at..];
        let host = after.iter().find_map(|word| word.strip_prefix("--host="));
        let next = || {
            let at = after.iter().position(|word| *word == "--host")?;
            Some(after.get(at + 1)?.as_str())
        };
        let is_plain = !command.contains(['$', '~', '%', '`', '(']);
        found.push(StopHook {
            command: is_plain.then(|| command.clone()),
            host: host.or_else(next).unwrap_or_default().to_owned(),
        });
    });
    found
}

/// The words of a command line, those in quotes whole.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for char in text.chars() {
        match quote {
            Some(open) if char == open => quote = None,
            None if char == '"' || char == '\'' => quote = Some(char),
            None if char.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(char),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether hooks are switched off in a file.
pub(super) fn hooks_are_off(file: &Value) -> bool {
    file["disableAllHooks"] == true
        || file["features"]["hooks"] == false
        || file["features"]["codex_hooks"] == false
        || file["hooksConfig"]["enabled"] == false
}

/// Whether Codex was told by its user to trust hooks of a file: its own settings name them by their place.
pub(super) fn codex_trusts(settings: &Value, hooks_file: &str) -> bool {
    let known = settings["hooks"]["state"].as_object().into_iter().flatten();
    known
        .filter(|(name, state)| {
            state["trusted_hash"].is_string() && state["enabled"] != false && name.starts_with(hooks_file)
        })
        .any(|(name, _)| name[hooks_file.len()..].starts_with(":stop"))
}

/// Every text in a value, at any depth.
fn texts(value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, take)),
        Value::Object(members) => members.values().for_each(|member| texts(member, take)),
        _ => {}
    }
}

/// The variables that a text refers to: `${NAME}`, `${env:NAME}`, `$NAME`. Those with a default need not be set, and what an
/// editor asks for (`${input:…}`) is none.
fn references(text: &str, found: &mut Vec<String>) {
    let is_name = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
    };
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        let name = match rest.strip_prefix('{') {
            Some(inner) => {
                let inner = inner.split('}').next().unwrap_or_default();
                inner.strip_prefix("env:").unwrap_or(inner)
            }
            None => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                &rest[..end]
            }
        };
        // Variables of an editor are lower case, such as `workspaceFolder`.
        if is_name(name) && !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
            found.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry_of(path: &str, member: &str, text: &str) -> Entry {
        entry(&parse(path, text).unwrap(), member).unwrap()
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_text() {
        let wrong = parse(".mcp.json", "{\n  \"key\": lc_secret\n}").unwrap_err();
        assert_eq!(wrong, ".mcp.json is not valid JSON (line 2, column 10)");
        let wrong = parse(".codex/config.toml", "a = 1\nkey = lc_secret\n").unwrap_err();
        assert_eq!(wrong, ".codex/config.toml is not valid TOML (line 2)");
    }

    #[test]
    fn every_program_says_it_in_its_way() {
        let mcp = |variables: &[&str]| Entry {
            command: Some("loopctl".to_owned()),
            arguments: vec!["mcp".to_owned()],
            variables: variables.iter().map(|name| (*name).to_owned()).collect(),
        };
        let claude = r#"{"mcpServers": {"loopctl": {"command": "loopctl", "args": ["mcp"],
            "env": {"LOOPCTL_AGENT_KEY": "${LOOPCTL_AGENT_KEY}", "LOOPCTL_SERVER": "${LOOPCTL_SERVER:-http://h}"}}}}"#;
        assert_eq!(entry_of(".mcp.json", "mcpServers", claude), mcp(&["LOOPCTL_AGENT_KEY"]));
        let codex = "# mine\n[mcp_servers.loopctl]\ncommand = \"loopctl\"\nargs = [\"mcp\"]\n\
            env_vars = [\"LOOPCTL_AGENT_KEY\", { name = \"B\" }, { name = \"C\", source = \"remote\" }]\n\
            env = { LOOPCTL_SERVER = \"http://h\" }\n";
        assert_eq!(entry_of(".codex/config.toml", "mcp_servers", codex), mcp(&["B", "LOOPCTL_AGENT_KEY"]));
        let gemini = r#"{"mcpServers": {"loopctl": {"command": "loopctl", "args": ["mcp"], "env": {"A": "$LOOPCTL_AGENT_KEY"}}}}"#;
        assert_eq!(entry_of(".gemini/settings.json", "mcpServers", gemini), mcp(&["LOOPCTL_AGENT_KEY"]));
        let cursor = gemini.replace("$LOOPCTL_AGENT_KEY", "${env:LOOPCTL_AGENT_KEY}");
        assert_eq!(entry_of(".cursor/mcp.json", "mcpServers", &cursor), mcp(&["LOOPCTL_AGENT_KEY"]));
        let code = r#"{ // as VS Code writes it
            "servers": {"loopctl": {"type": "stdio", "command": "loopctl", "args": ["mcp",],
            "env": {"A": "${input:key}", "B": "${workspaceFolder}/x", "C": "${env:LOOPCTL_AGENT_KEY}"},},},
        }"#;
        assert_eq!(entry_of(".vscode/mcp.json", "servers", code), mcp(&["LOOPCTL_AGENT_KEY"]));
        let address = r#"{"mcpServers": {"loopctl": {"type": "http", "url": "http://h/mcp",
            "headers": {"Authorization": "Bearer ${KEY}"}}}}"#;
        let of = entry_of(".mcp.json", "mcpServers", address);
        assert_eq!((of.command, of.variables), (None, vec!["KEY".to_owned()]));
        assert_eq!(entry(&json!({"mcpServers": {"other": {}}}), "mcpServers"), None);
        assert_eq!(entry(&json!([]), "mcpServers"), None);
    }

    #[test]
    fn hooks_are_known_by_their_command() {
        let told = |file: &Value| {
            let hooks = stop_hooks(file).into_iter();
            hooks.map(|hook| (hook.command.unwrap_or_default(), hook.host)).collect::<Vec<_>>()
        };
        let claude = json!({"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "loopctl hook stop --host claude-code"}]}],
            "SubagentStop": [{"hooks": [{"type": "command", "command": "\"/opt/my bin/loopctl\" hook subagent-stop --host=claude-code"}]}]}});
        let expected = [("loopctl", "claude-code"), ("/opt/my bin/loopctl", "claude-code")];
        assert_eq!(told(&claude), expected.map(|(command, host)| (command.to_owned(), host.to_owned())));
        let of = |command: &str| told(&json!({"hooks": {"stop": [{"command": command}]}}));
        for (command, started) in [
            ("loopctl hook stop", "loopctl"),
            ("cd sub && LOOPCTL_PROJECT=a './bin/loopctl' --timeout 5 hook stop", "./bin/loopctl"),
            // What these become is for the shell to say.
            ("\"$CLAUDE_PROJECT_DIR\"/bin/loopctl hook stop", ""),
            ("~/bin/loopctl hook stop", ""),
        ] {
            assert_eq!(of(command), [(started.to_owned(), String::new())], "{command}");
        }
        for other in ["echo hook stop", "loopctl next", "loopctl hook", "npm run hook", "", "'"] {
            assert_eq!(of(other), [], "{other}");
        }
        assert!(hooks_are_off(&json!({"disableAllHooks": true})));
        assert!(hooks_are_off(&json!({"features": {"hooks": false}})));
        assert!(!hooks_are_off(&json!({"features": {"hooks": true}, "hooks": {}})));
    }

    #[test]
    fn codex_trusts_what_its_own_settings_name() {
        let settings = |name: &str, state: Value| json!({"hooks": {"state": {name: state}}});
        let trusted = json!({"trusted_hash": "sha256:00"});
        assert!(codex_trusts(
            &settings("/p/.codex/hooks.json:stop:0:0", trusted.clone()),
            "/p/.codex/hooks.json"
        ));
        for (name, state) in [
            ("/p/.codex/hooks.json:pre_tool_use:0:0", trusted.clone()),
            ("/q/.codex/hooks.json:stop:0:0", trusted.clone()),
            ("/p/.codex/hooks.json:stop:0:0", json!({"enabled": false, "trusted_hash": "sha256:00"})),
            ("/p/.codex/hooks.json:stop:0:0", json!({})),
        ] {
            assert!(!codex_trusts(&settings(name, state.clone()), "/p/.codex/hooks.json"), "{name} {state}");
        }
        assert!(!codex_trusts(&json!({}), "/p"));
    }
}
