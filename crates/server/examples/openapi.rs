//! Prints the OpenAPI document of the server, which needs no database for it.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    writeln!(io::stdout(), "{:#}", loopctl_server::openapi())
}
