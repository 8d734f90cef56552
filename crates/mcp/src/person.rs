//! What only a person may do: the client that can is asked to lead its person to the page for it.

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResponse, ElicitRequest, ElicitRequestParams, ErrorCode, InputRequest, InputRequiredResult,
    ProtocolVersion,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::json;

use crate::api::{ONLY_A_PERSON, Reply};

/// How a role that is not enough is refused, where it takes a person's.
const FORBIDDEN: &str = "Required role: user";
/// What a request is refused with from 2025-11-25 on, when somebody has to go to a page first.
const URL_ELICITATION_REQUIRED: ErrorCode = ErrorCode(-32042);
/// Where a person signs in, and makes keys.
const PAGE: &str = "/account";
const WHY: &str = "Only a person of the tenant may do this. Sign in there; it can be done with a key of a person that is made on the page.";

/// Whether a refusal says that it takes a person.
pub(crate) fn is_needed(reply: &Reply) -> bool {
    let message = reply.body["error"]["message"].as_str().or(reply.body.as_str()).unwrap_or_default();
    match reply.status {
        0 => message.contains(ONLY_A_PERSON),
        403 => message.ends_with(FORBIDDEN),
        _ => false,
    }
}

/// Asks the client for its person, in the way of its revision. None: it cannot show a page, and is told by the refusal itself.
pub(crate) fn asked_for(
    context: &RequestContext<RoleServer>,
    server: &str,
) -> Option<Result<CallToolResponse, ErrorData>> {
    context.client_capabilities()?.elicitation?.url?;
    let url = format!("{}{PAGE}", server.trim_end_matches('/'));
    if context.protocol_version()? < ProtocolVersion::V_2026_07_28 {
        let id = format!("person-{}", context.id);
        let elicitation = json!({"mode": "url", "elicitationId": id, "url": url, "message": WHY});
        let data = json!({"elicitations": [elicitation]});
        return Some(Err(ErrorData::new(URL_ELICITATION_REQUIRED, WHY, Some(data))));
    }
    let params = ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: WHY.to_owned(),
        url,
        // Of requests of one answer, which are known by their names.
        elicitation_id: String::new(),
    };
    let request = InputRequest::Elicitation(ElicitRequest::new(params));
    Some(Ok(InputRequiredResult::from_input_requests([("person".to_owned(), request)].into()).into()))
}
