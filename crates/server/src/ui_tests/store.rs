//! SQL of ui_tests.

use crate::db::statements;

statements! {}
