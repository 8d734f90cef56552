//! The `loopctl` binary.
fn main() {}
