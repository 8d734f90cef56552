//! loopctl as tools for models: a table of tools over its HTTP API, and the Model Context Protocol around it. Two ways lead to it: the
//! command `loopctl mcp`, which calls a server over HTTP, and the server's own `/mcp`, which calls itself.
//!
//! The layers, from the inside: [`address`] (who may be sent keys), [`api`] (calls and replies), `arguments` (what tools take),
//! `catalogue` (the table), [`desk`] (calling a tool, and how answers look), `skills` (the tenant's, as files), `person` (what tools
//! cannot do), [`server`] (the protocol), [`stdio`] and [`remote`] (getting there).

pub mod address;
pub mod api;
mod arguments;
mod catalogue;
pub mod desk;
pub mod files;
mod instructions;
mod person;
pub mod remote;
pub mod seats;
pub mod server;
mod skills;
pub mod stdio;
