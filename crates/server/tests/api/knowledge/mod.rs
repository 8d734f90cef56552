//! The knowledge wiki.

mod system;
