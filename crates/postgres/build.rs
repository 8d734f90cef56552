//! Compiles the library that gives a nameless account a name (`src/name.c`). Where that is not possible it is empty, and
//! such an account is told what to do instead.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const SOURCE: &str = "src/name.c";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SOURCE}");
    let library = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("name.so");
    if env::var("CARGO_CFG_TARGET_OS")? == "linux" && compile(&library) {
        return Ok(());
    }
    Ok(fs::write(library, "")?)
}

/// Whether there is a compiler for the target that makes a library of it.
fn compile(library: &Path) -> bool {
    let Ok(compiler) = cc::Build::new().try_get_compiler() else { return false };
    // Without the C library, so that it fits into programs of any.
    let mut command = compiler.to_command();
    command.args(["-shared", "-fPIC", "-nostdlib", "-Os", SOURCE, "-o"]).arg(library);
    command.status().is_ok_and(|status| status.success())
}
