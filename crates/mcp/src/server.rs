//! What the protocol asks of a server, answered from the table of tools. All that knows the protocol is here and in the transports.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorCode,
    Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

use crate::api::Api;
use crate::desk::Desk;
use crate::instructions;

/// How long a client may keep the list of tools, which changes with keys and versions alone.
const KEPT_MS: u64 = 300_000;

/// A server of the protocol for one holder of keys.
#[derive(Debug, Clone)]
pub struct McpServer<A> {
    desk: Arc<Desk<A>>,
    version: &'static str,
}

impl<A: Api> McpServer<A> {
    /// Serves these tools as this version of loopctl.
    pub fn new(desk: Desk<A>, version: &'static str) -> Self {
        Self { desk: Arc::new(desk), version }
    }
}

/// A tool of the table as the protocol has it.
fn tool(listing: &Value) -> Option<Tool> {
    serde_json::from_value(listing.clone()).ok()
}

impl<A: Api> ServerHandler for McpServer<A> {
    fn get_info(&self) -> ServerConfig {
        let config = ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("loopctl", self.version));
        match self.desk.toolset().seats() {
            Some(seats) => config.with_instructions(instructions::of(seats)),
            None => config,
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut result = ListToolsResult::with_all_items(self.desk.list().iter().filter_map(tool).collect());
        result.ttl_ms = Some(KEPT_MS);
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let sent = request.arguments.unwrap_or_default();
        let Some(answer) = self.desk.call(&request.name, &sent).await else {
            let unknown = format!("Unknown tool: {}", request.name);
            return Err(ErrorData::new(
                ErrorCode::INVALID_PARAMS,
                unknown,
                Some(json!({"tool": request.name})),
            ));
        };
        let content = vec![ContentBlock::text(answer.text)];
        let mut result =
            if answer.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
        result.structured_content = answer.structured;
        // Without a word, it is no error: clients of old expect it to be absent.
        result.is_error = answer.is_error.then_some(true);
        Ok(result.into())
    }
}
