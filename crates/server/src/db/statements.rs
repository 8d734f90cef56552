//! Named SQL.

/// Declares a resource's SQL: a constant per statement, and `STATEMENTS` with all of them, which one test
/// prepares against the migrated schema as the application role.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$meta])* pub(crate) const $name: &str = $sql;)*

        /// Every statement above, by name.
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

pub(crate) use statements;
