//! What agents read: the loop in a few lines, and the skill.

/// Between the markers of `AGENTS.md`.
pub(super) const AGENTS: &str = "\
## Work is tracked in loopctl

Use the MCP tools of `loopctl`, or the command `loopctl`; both take the same steps.

- One story at a time: `loopctl next` lists what is ready, `loopctl story show N` says what it asks for.
- Before any code: `loopctl contract N`, `loopctl claim N`, `loopctl start N`.
- Done means: every acceptance criterion has a test, the tests pass, the change is committed. Then
  `loopctl request-review N`, and stop.
- Somebody else reports, reviews and verifies your story. Do not do it yourself, and do not edit its title or criteria.
- A refusal is an instruction: do what its `hint` says. Never work around a 409: somebody was first, or you may not.
- Use the key that this session was given and no other; never print it.
- If you cannot finish: commit what is useful, `loopctl unclaim N`, and say why.";

/// In `CLAUDE.md`, whose program reads no `AGENTS.md` of itself.
pub(super) const CLAUDE: &str = "@AGENTS.md";

/// In `GEMINI.md`, for the same reason.
pub(super) const GEMINI: &str = "@./AGENTS.md";

/// `SKILL.md`.
pub(super) const SKILL: &str = "\
---
name: loopctl
description: Work on a story that is tracked in loopctl - pick, contract, claim, start, ask for a review - and do what its refusals say. Use it whenever a task names a story, or work is picked from the backlog.
---

# A story, from ready to review

<!-- Written by loopctl init. -->

Each step is an MCP tool and a command. N is a story's number, such as 2.1; the tools take that or its id.

| step | command | MCP tool |
|---|---|---|
| see what is ready | `loopctl next` | `next_story` |
| read it, with every acceptance criterion | `loopctl story show N` | `get_story` |
| say that you have read it, and take it | `loopctl contract N`, `loopctl claim N` | `contract_and_claim` |
| begin | `loopctl start N` | `start_story` |
| ask for a review, and stop | `loopctl request-review N` | `request_review` |

Between `start` and `request-review` lies the work: a test for each criterion, the code, a commit. Ask about criteria that you
cannot check before you contract.

After `request-review` your part ends. Another agent reports the story as done and reviews it, an orchestrator verifies it. If a
reviewer finds something, mend it, commit, and ask again.

## Refusals

An answer says what can be called next (`next`, `next_actions`); a refusal has a `code`, and a `hint` that says what to do. Do that.

- 409: somebody was first, or you may not. Take another story, or leave the step to others. Do not try again, and do not try
  another key or another way.
- 422: what you sent is not what the story says. Read it again.
- 403: the step is for another role. 401: your key does not work; stop and say so.
- 429: wait as long as `Retry-After` says; without it a budget is used up, so tell the orchestrator.

If you cannot finish: commit what is useful, `loopctl unclaim N`, and say why.
";

/// The line by which a `SKILL.md` of another version is known.
pub(super) const WRITTEN: &str = "<!-- Written by loopctl init. -->";
