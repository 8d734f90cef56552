//! SQL of exports.

use crate::db::statements;

statements! {}
