//! The program that carries its PostgreSQL is one file that has to be small: on Linux its relocations are packed, which takes glibc 2.36
//! on the machines that it runs on, and where Rust's own linker is used, code that is the same for several types is there once.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|set| set == value);
    let carries = std::env::var_os("CARGO_FEATURE_BUNDLED_POSTGRES").is_some();
    if carries && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        // There that is the linker unless something else was wished for.
        if is("CARGO_CFG_TARGET_ARCH", "x86_64") {
            println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        }
    }
}
