//! What the protocol asks of a server, answered from the table of tools and from the tenant's skills. All that knows the protocol is here,
//! where skills become files, and in the transports.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest,
    CustomResult, ErrorCode, GetSkillRequestParams, GetSkillResult, Implementation,
    ListResourcesRequestMethod, ListResourcesResult, ListSkillsResult, ListToolsResult, MetaObject,
    PaginatedRequestParams, ReadResourceRequestMethod, ReadResourceRequestParams, ReadResourceResponse,
    ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

use crate::api::Api;
use crate::desk::Desk;
use crate::instructions;
use crate::person;
use crate::skills;

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

    /// Whoever asks for all tools has them and nothing else.
    fn serves_skills(&self) -> bool {
        self.desk.toolset().seats().is_some()
    }
}

/// A tool of the table as the protocol has it.
fn tool(listing: &Value) -> Option<Tool> {
    serde_json::from_value(listing.clone()).ok()
}

impl<A: Api> ServerHandler for McpServer<A> {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools();
        let capabilities = match self.serves_skills() {
            true => capabilities.enable_resources().enable_skills().build(),
            false => capabilities.build(),
        };
        let config =
            ServerConfig::new(capabilities).with_server_info(Implementation::new("loopctl", self.version));
        match self.desk.toolset().seats() {
            Some(seats) => config.with_instructions(instructions::of(seats)),
            None => config,
        }
    }

    async fn list_skills(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListSkillsResult, ErrorData> {
        skills::list(self.desk.api(), request).await
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetSkillResult, ErrorData> {
        skills::get(self.desk.api(), &request.uri).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        if !self.serves_skills() {
            return Err(ErrorData::method_not_found::<ListResourcesRequestMethod>());
        }
        skills::resources(self.desk.api(), request).await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if !self.serves_skills() {
            return Err(ErrorData::method_not_found::<ReadResourceRequestMethod>());
        }
        skills::read(self.desk.api(), &request.uri).await.map(Into::into)
    }

    /// What is no request that is known here: by its method, or by what it was sent.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // Of `initialize` the newest era knows nothing, whatever it is sent.
        Err(if request.method == "tools/call" {
            ErrorData::invalid_params("Invalid params of tools/call", None)
        } else {
            ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "Method not found", None)
        })
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
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut sent = request.arguments.unwrap_or_default();
        if let Some(version) = context.meta.get(skills::VERSION_IN_META)
            && self.desk.takes(&request.name, skills::VERSION_ARGUMENT)
        {
            sent.entry(skills::VERSION_ARGUMENT).or_insert_with(|| version.clone());
        }
        let answer = tokio::select! {
            answer = self.desk.call(&request.name, &sent) => answer,
            // Nobody waits for it any more.
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("cancelled", None)),
        };
        let Some(answer) = answer else {
            let unknown = format!("Unknown tool: {}", request.name);
            return Err(ErrorData::new(
                ErrorCode::INVALID_PARAMS,
                unknown,
                Some(json!({"tool": request.name})),
            ));
        };
        // Whoever has answered has sent their person there, and is told what comes of it.
        if answer.is_for_person
            && request.input_responses.is_none()
            && let Some(asked) = person::asked_for(&context, &self.desk.api().settings().server)
        {
            return asked;
        }
        let content = [Some(answer.text), answer.note.map(str::to_owned)];
        let content = content.into_iter().flatten().map(ContentBlock::text).collect();
        let mut result =
            if answer.is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
        result.structured_content = answer.structured;
        result.meta = answer.hint.map(|hint| {
            let hint = ("deprecation_hint".to_owned(), json!(hint));
            MetaObject(std::iter::once(hint).collect())
        });
        // Without a word, it is no error: clients of old expect it to be absent.
        result.is_error = answer.is_error.then_some(true);
        Ok(result.into())
    }
}
