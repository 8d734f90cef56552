//! Named SQL, with the rows that it yields.
//!
//! Statements that join many rows with many compare with `(select $1)` rather than `$1`. Of a value that it knows,
//! the planner asks the statistics, and of a tenant or project that is newer than those they say that it has no rows;
//! joins of nothing with nothing are planned without an index. Of a value that it will only know later it expects the
//! average. The size of a page, and filters that may be null, are in a `(select …)` where a statement is run all day: a value that
//! makes a plan look cheaper has PostgreSQL plan anew each time, which takes longer than most statements.

use std::marker::PhantomData;

use tokio_postgres::types::ToSql;

use super::row::{Row, RowTypes};

/// The values of `$2`, `$3`, …; `$1` is the tenant of the transaction. Outside of one they begin with `$1`.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// One column of many records: what `unnest` takes.
pub(crate) fn column<'a, T, C>(records: &'a [T], of: impl Fn(&'a T) -> C) -> Vec<C> {
    records.iter().map(of).collect()
}

/// A statement that yields rows of type `R`; `()` where nobody looks at them.
pub struct Sql<R> {
    pub(super) text: &'static str,
    rows: PhantomData<fn() -> R>,
}

impl<R> Clone for Sql<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Sql<R> {}

impl<R> Sql<R> {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text, rows: PhantomData }
    }

    /// Its text, for those who work with a connection of the owner's.
    pub(crate) const fn text(&self) -> &'static str {
        self.text
    }

    /// The statement with its values, to be run together with others.
    pub(crate) const fn with<'a>(self, params: Params<'a>) -> Statement<'a, R> {
        Statement { sql: self, params }
    }
}

/// A statement with the values of its parameters.
pub struct Statement<'a, R> {
    pub(super) sql: Sql<R>,
    pub(super) params: Params<'a>,
}

/// The two statements of a list.
pub(crate) struct ListSql<R> {
    /// Takes the filters.
    pub(crate) count: Sql<Counted>,
    /// Takes the filters, then how many rows at most, and how many come before.
    pub(crate) rows: Sql<R>,
}

impl<R> ListSql<R> {
    /// Whether its rows are [`weighed`]: then whoever reads them sees to it that they fit into an answer.
    pub(crate) fn is_weighed(&self) -> bool {
        self.rows.text.contains(" as upto ")
    }
}

/// How many rows a list has.
#[derive(Debug, Clone, Copy, crate::db::Row)]
pub(crate) struct Counted {
    /// Rows in the whole list.
    pub(crate) total: i64,
    /// Whether what the list is part of exists.
    pub(crate) known: bool,
}

/// A statement as the tests of the schema look at it.
pub struct Named {
    /// The constant.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
    /// Whether what it yields is what is read.
    pub check: fn(&mut RowTypes<'_>) -> Result<(), String>,
}

impl Named {
    pub(crate) const fn new<R: Row>(name: &'static str, sql: &Sql<R>) -> Self {
        Self { name, text: sql.text, check: R::check }
    }
}

/// A statement as what is before its `{*}`, that, and the rest; without one it is all before.
pub(crate) const fn around_columns(sql: &'static str) -> (&'static str, &'static str, &'static str) {
    let mut at = 0;
    while at + 3 <= sql.len() {
        if let [b'{', b'*', b'}'] = [sql.as_bytes()[at], sql.as_bytes()[at + 1], sql.as_bytes()[at + 2]] {
            let (before, rest) = sql.split_at(at);
            let (placeholder, after) = rest.split_at(3);
            return (before, placeholder, after);
        }
        at += 1;
    }
    (sql, "", "")
}

/// Declares a resource's SQL: a constant per statement, and `STATEMENTS` with all of them, which one test prepares
/// against the migrated schema as the application role.
///
/// - `NAME = "…";` yields nothing that is read.
/// - `NAME -> Epic = "select {*} from epics …";` yields rows of a type; `{*}` stands for its columns.
/// - `NAME -> list of Epic = { within: "projects where …", from: "epics where …", page: "order by … limit $4 offset $5" };`
///   is a list with the count of its rows. `within` is what the list is part of, an empty text where it is nothing. Where the
///   count is kept, or found more easily than among the rows, `count: "coalesce(sum(n), 0) from …"` says how.
macro_rules! statements {
    (@ [$($named:expr,)*]) => {
        /// Every statement above.
        pub(crate) const STATEMENTS: &[$crate::db::Named] = &[$($named),*];
    };
    (@ [$($named:expr,)*] $(#[$meta:meta])* $name:ident -> list of $row:ty = {
        within: $within:expr, from: $from:expr, page: $page:expr $(,)?
    }; $($rest:tt)*) => {
        $crate::db::statements! { @ [$($named,)*] $(#[$meta])* $name -> list of $row = {
            within: $within, count: ::constcat::concat!("count(*) from ", $from), from: $from, page: $page,
        }; $($rest)* }
    };
    (@ [$($named:expr,)*] $(#[$meta:meta])* $name:ident -> list of $row:ty = {
        within: $within:expr, count: $count:expr, from: $from:expr, page: $page:expr $(,)?
    }; $($rest:tt)*) => {
        $(#[$meta])*
        pub(crate) const $name: $crate::db::ListSql<$row> = $crate::db::ListSql {
            count: $crate::db::Sql::new(::constcat::concat!(
                "select (select ", $count, ") as total, ",
                if $within.is_empty() { "true as known" } else { "exists (select from " },
                $within,
                if $within.is_empty() { "" } else { ") as known" },
            )),
            rows: $crate::db::Sql::new(::constcat::concat!(
                "select ", <$row as $crate::db::Row>::COLUMNS, " from ", $from, " ", $page,
            )),
        };
        $crate::db::statements! { @ [
            $($named,)*
            $crate::db::Named::new(concat!(stringify!($name), "::count"), &$name.count),
            $crate::db::Named::new(stringify!($name), &$name.rows),
        ] $($rest)* }
    };
    (@ [$($named:expr,)*] $(#[$meta:meta])* $name:ident -> $row:ty = $sql:expr; $($rest:tt)*) => {
        $(#[$meta])*
        pub(crate) const $name: $crate::db::Sql<$row> = $crate::db::Sql::new({
            const AROUND: (&str, &str, &str) = $crate::db::around_columns($sql);
            ::constcat::concat!(AROUND.0, if AROUND.1.is_empty() { "" } else { <$row as $crate::db::Row>::COLUMNS }, AROUND.2)
        });
        $crate::db::statements! { @ [$($named,)* $crate::db::Named::new(stringify!($name), &$name),] $($rest)* }
    };
    (@ [$($named:expr,)*] $(#[$meta:meta])* $name:ident = $sql:expr; $($rest:tt)*) => {
        $(#[$meta])*
        pub(crate) const $name: $crate::db::Sql<()> = $crate::db::Sql::new($sql);
        $crate::db::statements! { @ [$($named,)* $crate::db::Named::new(stringify!($name), &$name),] $($rest)* }
    };
    (@ $($wrong:tt)*) => {
        compile_error!("a statement is `NAME = …;`, `NAME -> Row = …;` or `NAME -> list of Row = { … };`");
    };
    ($($statements:tt)+) => {
        $crate::db::statements! { @ [] $($statements)+ }
    };
}

pub(crate) use statements;

/// Rows in an order, as what `$name` says, each with its weight in bytes and how much all up to it weigh (`upto`): where rows may be large,
/// whoever reads many of them takes as many as may be in memory.
macro_rules! weighed {
    ($weight:expr, $order:expr, $rows:expr, $name:expr) => {
        ::constcat::concat!(
            "(select whole.*, (sum(weight) over (",
            $order,
            " rows unbounded preceding))::bigint as upto from (select page.*, ",
            $weight,
            " as weight from (",
            $rows,
            ") page) whole) ",
            $name
        )
    };
}

/// Of weighed rows those that fit into one answer, and the one with which it is too much, by which that is known.
macro_rules! fitting {
    ($order:expr) => {
        ::constcat::concat!("where upto - weight <= 16777216 ", $order)
    };
}

pub(crate) use {fitting, weighed};
