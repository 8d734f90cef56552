//! `lifecycle`: what moves a story, as the server's own table says it.

use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Fact, Item};
use crate::layout::table::said;
use crate::layout::{Screen, status};
use crate::table::plain;

const COLUMNS: &[&str] = &["action", "method", "path", "from", "to", "roles", "needs_agent", "refusals"];

pub(crate) async fn run(context: &Context) -> Result<(), Error> {
    let body = context.open_client()?.get("/lifecycle", &[]).await?;
    let transitions = body["transitions"].as_array().map_or(&[][..], Vec::as_slice);
    if !context.output.human() || transitions.is_empty() {
        return context.output.rows(&body, transitions, COLUMNS, "The server knows no transitions.");
    }
    context.output.block(block(transitions, context.output.screen()))
}

/// Each action with where it leads, who may, and what refuses it.
fn block<'s>(transitions: &[Value], screen: &'s Screen) -> Block<'s> {
    let mut block = Block::new(screen);
    for transition in transitions {
        block.blank();
        block.heading("", &plain(&transition["action"]));
        let states = |member: &str| {
            let states = transition[member].as_array().into_iter().flatten();
            states.map(|state| status::words(&plain(state))).collect::<Vec<_>>().join(", ")
        };
        let agent = if transition["needs_agent"] == true { "the key must be bound to one" } else { "" };
        let call = format!("{} {}", plain(&transition["method"]), plain(&transition["path"]));
        block.facts(&[
            Fact::new("from", states("from")),
            Fact::new("to", states("to")),
            Fact::new("roles", said(&transition["roles"])),
            Fact::new("agent", agent),
            Fact::new("call", if screen.is_wide { call } else { String::new() }),
        ]);
        let refusals = transition["refusals"].as_array().into_iter().flatten();
        let refusals: Vec<Item> =
            refusals.map(|refusal| Item::plain(plain(&refusal["code"]), plain(&refusal["when"]))).collect();
        if !refusals.is_empty() {
            block.line("refused with:".to_owned());
            block.items(&refusals);
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_action_says_who_may_and_what_refuses_it() {
        let transitions = json!([
            {"action": "claim", "method": "POST", "path": "/api/v1/stories/:id/claim", "from": ["contracted"],
             "to": ["assigned"], "roles": ["agent"], "needs_agent": true,
             "refusals": [{"status": 409, "code": "must_contract_first", "when": "it is not contracted"},
                          {"status": 409, "code": "held", "when": "another agent holds it"}]},
            {"action": "verify", "from": ["reported_done"], "to": ["reported_done"], "roles": ["orchestrator", "user"],
             "needs_agent": false, "refusals": []},
        ]);
        let expected = "\
claim
from:  contracted
to:    assigned
roles: agent
agent: the key must be bound to one
refused with:
  must_contract_first  it is not contracted
  held                 another agent holds it

verify
from:  reported done
to:    reported done
roles: orchestrator, user";
        assert_eq!(block(transitions.as_array().unwrap(), &Screen::of(80)).text(), expected);
        let wide = Screen { is_wide: true, ..Screen::of(80) };
        let told = block(transitions.as_array().unwrap(), &wide).text();
        assert!(told.contains("call:  POST /api/v1/stories/:id/claim\n"), "{told}");
    }
}
