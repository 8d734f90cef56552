//! `loopctl mcp`: tools for a coding agent, over standard input and output.

use std::ffi::OsStr;
use std::path::Path;

use loopctl_mcp::desk::Desk;
use loopctl_mcp::remote::Remote;
use loopctl_mcp::server::McpServer;
use loopctl_mcp::stdio;

use crate::output;

/// What clients of old start; it is another name of this binary.
const NAME: &str = "loopctl-mcp-server";

/// What its help ends with.
pub(crate) const ENVIRONMENT: &str = "All settings are variables of the environment, as clients set them:
  LOOPCTL_SERVER        address of the server (https://loopctl.com)
  LOOPCTL_AGENT_KEY     key of whoever implements
  LOOPCTL_REVIEWER_KEY  key of whoever reviews
  LOOPCTL_ORCH_KEY      key of whoever runs the loop
  LOOPCTL_USER_KEY      key of a person, for what destroys
  LOOPCTL_API_KEY       one key for everything
  LOOPCTL_PROJECT       slug or id of the project that is meant where none is named
  LOOPCTL_MCP_TOOLS     `all`: every tool, in the API's own words
  LOOPCTL_IMPORT_ROOT   directory below which plans are read from files
  LOOPCTL_CA_CERT       also trust the certificates in this PEM file
Which tools there are follows from the keys.";

/// Whether the process was started by its other name.
pub(crate) fn is_meant(program: Option<&OsStr>) -> bool {
    program.and_then(|program| Path::new(program).file_stem()).is_some_and(|name| name == NAME)
}

/// Serves until the client closes the input.
pub(crate) async fn run() -> u8 {
    let remote = match Remote::of(|name| std::env::var(name).ok(), env!("CARGO_PKG_VERSION")) {
        Ok(remote) => remote,
        Err(error) => {
            output::note(&format!("Error: {error}"));
            return 2;
        }
    };
    for warning in remote.warnings() {
        output::note(&format!("Warning: {warning}"));
    }
    let wants_all = std::env::var("LOOPCTL_MCP_TOOLS").is_ok_and(|tools| tools == "all");
    let toolset = remote.toolset(wants_all).await;
    let server = McpServer::new(Desk::new(remote, toolset), env!("CARGO_PKG_VERSION"));
    match stdio::serve(server, tokio::io::stdin(), tokio::io::stdout()).await {
        Ok(()) => 0,
        Err(error) => {
            output::note(&format!("Error: {error}"));
            1
        }
    }
}
