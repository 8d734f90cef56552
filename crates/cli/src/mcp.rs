//! `loopctl mcp`: tools for a coding agent, over standard input and output.

use std::ffi::OsStr;
use std::path::Path;

use loopctl_mcp::desk::Desk;
use loopctl_mcp::remote::Remote;
use loopctl_mcp::server::McpServer;
use loopctl_mcp::stdio;

use crate::args::GlobalOptions;
use crate::output;

/// What clients of old start; it is another name of this binary.
const NAME: &str = "loopctl-mcp-server";

/// What its help ends with.
pub(crate) const ENVIRONMENT: &str = "Clients set variables of the environment; --server, --api-key, --project, --insecure and --cacert come first:
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

/// A setting: what the command line says, or else the environment.
fn setting(globals: &GlobalOptions, name: &str) -> Option<String> {
    let said = match name {
        "LOOPCTL_SERVER" => globals.server.clone(),
        "LOOPCTL_API_KEY" => globals.api_key.clone(),
        "LOOPCTL_PROJECT" => globals.project.clone(),
        "LOOPCTL_CA_CERT" => globals.cacert.as_ref().map(|path| path.display().to_string()),
        "NODE_TLS_REJECT_UNAUTHORIZED" => globals.insecure.then(|| "0".to_owned()),
        _ => None,
    };
    said.or_else(|| std::env::var(name).ok())
}

/// Serves until the client closes the input.
pub(crate) async fn run(globals: &GlobalOptions) -> u8 {
    if globals.format.is_some() || globals.data_only || globals.timeout.is_some() {
        output::note(
            "Error: --format, --data-only and --timeout are not for mcp: its client decides. Leave them out",
        );
        return 2;
    }
    let remote = match Remote::of(|name| setting(globals, name), env!("CARGO_PKG_VERSION")) {
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
