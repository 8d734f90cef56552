//! SQL of dependencies.

use crate::db::statements;

statements! {}
