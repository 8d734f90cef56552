//! The programs that agents run in, and by what one sees that a repository or its user has them.

use clap::ValueEnum;

/// A program that runs coding agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Host {
    /// Claude Code.
    ClaudeCode,
    /// Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// Cursor.
    Cursor,
    /// VS Code, and Copilot's own command line.
    Copilot,
}

/// Whose key the agents of a repository have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Does the work.
    Implementer,
    /// Reports and reviews the work of others.
    Reviewer,
    /// Hands out, verifies and rejects.
    Orchestrator,
}

impl Role {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Implementer, Self::Reviewer, Self::Orchestrator];

    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Implementer => "implementer",
            Self::Reviewer => "reviewer",
            Self::Orchestrator => "orchestrator",
        }
    }

    /// The environment variable that holds the key. Its name is written into files, its value never.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Implementer => "LOOPCTL_AGENT_KEY",
            Self::Reviewer => "LOOPCTL_REVIEWER_KEY",
            Self::Orchestrator => "LOOPCTL_ORCH_KEY",
        }
    }

    /// As what whoever has the key registers; an orchestrator's key is linked to an agent when it is made.
    pub(super) fn agent_type(self) -> Option<&'static str> {
        match self {
            Self::Implementer => Some("implementer"),
            Self::Reviewer => Some("reviewer"),
            Self::Orchestrator => None,
        }
    }

    /// The role of the key itself.
    pub(super) fn key_role(self) -> &'static str {
        match self {
            Self::Implementer | Self::Reviewer => "agent",
            Self::Orchestrator => "orchestrator",
        }
    }
}

/// What shows that a host is in use.
#[derive(Debug)]
struct Signs {
    /// Files and folders of a repository.
    repository: &'static [&'static str],
    /// Programs.
    programs: &'static [&'static str],
    /// Folders of a home directory.
    home: &'static [&'static str],
}

impl Host {
    /// All of them, in the order in which they are shown.
    pub(super) const ALL: [Self; 5] =
        [Self::ClaudeCode, Self::Codex, Self::Gemini, Self::Cursor, Self::Copilot];

    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Cursor => "cursor",
            Self::Copilot => "copilot",
        }
    }

    fn signs(self) -> Signs {
        match self {
            Self::ClaudeCode => Signs {
                repository: &[".claude", "CLAUDE.md", ".mcp.json"],
                programs: &["claude"],
                home: &[".claude"],
            },
            Self::Codex => Signs { repository: &[".codex"], programs: &["codex"], home: &[".codex"] },
            Self::Gemini => {
                Signs { repository: &[".gemini", "GEMINI.md"], programs: &["gemini"], home: &[".gemini"] }
            }
            Self::Cursor => Signs {
                repository: &[".cursor", ".cursorrules"],
                programs: &["cursor", "cursor-agent"],
                home: &[".cursor"],
            },
            Self::Copilot => Signs {
                repository: &[
                    ".vscode",
                    ".github/copilot-instructions.md",
                    ".github/hooks",
                    ".github/copilot",
                ],
                programs: &["code", "copilot"],
                home: &[".vscode", ".copilot"],
            },
        }
    }

    /// Why it counts as in use: the first sign of it. What is there, is asked of the three functions.
    pub(super) fn found(
        self,
        in_repository: impl Fn(&str) -> bool,
        is_program: impl Fn(&str) -> bool,
        in_home: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let signs = self.signs();
        let first =
            |names: &[&'static str], is: &dyn Fn(&str) -> bool| names.iter().copied().find(|name| is(name));
        first(signs.repository, &in_repository)
            .map(|name| format!("{name} is in the repository"))
            .or_else(|| first(signs.programs, &is_program).map(|name| format!("{name} is on the PATH")))
            .or_else(|| first(signs.home, &in_home).map(|name| format!("~/{name} is there")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_sign_is_named() {
        let yes = |_: &str| true;
        let no = |_: &str| false;
        for host in Host::ALL {
            assert_eq!(host.found(no, no, no), None);
            assert!(host.found(yes, yes, yes).unwrap().ends_with(" is in the repository"));
            assert!(host.found(no, yes, yes).unwrap().ends_with(" is on the PATH"));
            assert!(host.found(no, no, yes).unwrap().ends_with(" is there"));
        }
        assert_eq!(
            Host::Gemini.found(|name| name == "GEMINI.md", yes, yes).unwrap(),
            "GEMINI.md is in the repository"
        );
    }
}
