//! Named SQL.
//!
//! Statements that join many rows with many compare with `(select $1)` rather than `$1`. Of a value that it knows,
//! the planner asks the statistics, and of a tenant or project that is newer than those they say that it has no rows;
//! joins of nothing with nothing are planned without an index. Of a value that it will only know later it expects the
//! average.

/// Declares a resource's SQL: a constant per statement, and `STATEMENTS` with all of them, which one test
/// prepares against the migrated schema as the application role.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$meta])* pub(crate) const $name: &str = $sql;)+

        /// Every statement above, by name.
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(crate) use statements;
