//! Rows: what a statement selects and how it is read, in one declaration (`#[derive(Row)]`).

use std::error::Error;

use chrono::{DateTime, NaiveDate, Utc};
use loopctl_core::cost::Total;
use loopctl_core::cost::budgets::{Enforcement, ScopeType};
use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Category, Relationship, Status as ArticleStatus};
use loopctl_core::lifecycle::{AgentStatus, VerificationSource, VerifiedStatus};
use loopctl_core::role::Role;
use rust_decimal::Decimal;
use tokio_postgres::Column as Described;
use tokio_postgres::types::{FromSql, Json, Type, WasNull};
use uuid::Uuid;

use super::{DbError, Timestamp};

/// A type that is read from a row.
pub trait Row: Sized {
    /// Its select list, which `{*}` stands for in a statement.
    const COLUMNS: &'static str;
    /// How many columns that is.
    const WIDTH: usize;

    /// Reads it from the columns that come next.
    ///
    /// # Errors
    /// When a column does not hold what it should.
    fn read(reader: &mut RowReader<'_>) -> Result<Self, DbError>;

    /// Whether it can be read from the columns that come next.
    ///
    /// # Errors
    /// What does not fit.
    fn check(types: &mut RowTypes<'_>) -> Result<(), String>;
}

/// A row that is read column by column, in the order of the select list.
pub struct RowReader<'a> {
    row: &'a tokio_postgres::Row,
    at: usize,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(row: &'a tokio_postgres::Row) -> Self {
        Self { row, at: 0 }
    }

    /// The next column, which is called `name`.
    ///
    /// # Errors
    /// When it does not hold what it should.
    pub fn column<T: Column>(&mut self, name: &str) -> Result<T, DbError> {
        let cell: Result<Cell<T>, _> = self.row.try_get(self.at);
        self.at += 1;
        cell.map(|Cell(value)| value).map_err(|error| {
            DbError::Unexpected(format!("column {name}: {}", super::error::describe(&error)))
        })
    }
}

/// The columns that a prepared statement yields.
pub struct RowTypes<'a> {
    columns: std::slice::Iter<'a, Described>,
}

impl<'a> RowTypes<'a> {
    /// Looks at these.
    pub fn new(columns: &'a [Described]) -> Self {
        Self { columns: columns.iter() }
    }

    /// Whether the next column is called `name` and can be read as a `T`.
    ///
    /// # Errors
    /// What does not fit.
    pub fn column<T: Column>(&mut self, name: &str) -> Result<(), String> {
        let column = self.columns.next().ok_or_else(|| format!("column {name} is not selected"))?;
        if column.name() != name {
            return Err(format!("column {name} is read from {}", column.name()));
        }
        self.fits::<T>(column)
    }

    fn only<T: Column>(&mut self) -> Result<(), String> {
        let column = self.columns.next().ok_or("nothing is selected")?;
        self.fits::<T>(column)
    }

    fn fits<T: Column>(&self, column: &Described) -> Result<(), String> {
        if T::accepts(column.type_()) {
            return Ok(());
        }
        Err(format!("{} is of type {}", column.name(), column.type_()))
    }

    /// What is selected and not read.
    pub fn rest(self) -> Vec<String> {
        self.columns.map(|column| column.name().to_owned()).collect()
    }
}

/// Nobody looks at what comes back.
impl Row for () {
    const COLUMNS: &'static str = "";
    const WIDTH: usize = 0;

    fn read(_: &mut RowReader<'_>) -> Result<Self, DbError> {
        Ok(())
    }

    fn check(types: &mut RowTypes<'_>) -> Result<(), String> {
        types.columns.by_ref().for_each(drop);
        Ok(())
    }
}

/// A row of an outer join: none when its first column is null.
impl<R: Row> Row for Option<R> {
    const COLUMNS: &'static str = R::COLUMNS;
    const WIDTH: usize = R::WIDTH;

    fn read(reader: &mut RowReader<'_>) -> Result<Self, DbError> {
        let Anything(is_null) = reader.row.try_get(reader.at)?;
        if is_null {
            reader.at += R::WIDTH;
            return Ok(None);
        }
        R::read(reader).map(Some)
    }

    fn check(types: &mut RowTypes<'_>) -> Result<(), String> {
        R::check(types)
    }
}

/// Whether a column is null.
struct Anything(bool);

impl<'a> FromSql<'a> for Anything {
    fn from_sql(_: &Type, _: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(false))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(true))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// What a column may hold.
pub trait Column: Sized {
    /// Reads a value.
    ///
    /// # Errors
    /// When it is not what it should be.
    fn decode(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>>;

    /// Reads a null.
    ///
    /// # Errors
    /// When there must be a value.
    fn decode_null() -> Result<Self, Box<dyn Error + Sync + Send>> {
        Err(Box::new(WasNull))
    }

    /// Whether it is read from columns of this type.
    fn accepts(ty: &Type) -> bool;
}

struct Cell<T>(T);

impl<'a, T: Column> FromSql<'a> for Cell<T> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        T::decode(ty, raw).map(Self)
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        T::decode_null().map(Self)
    }

    fn accepts(ty: &Type) -> bool {
        T::accepts(ty)
    }
}

impl<T: Column> Column for Option<T> {
    fn decode(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        T::decode(ty, raw).map(Some)
    }

    fn decode_null() -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(None)
    }

    fn accepts(ty: &Type) -> bool {
        T::accepts(ty)
    }
}

/// Types that the driver knows, which are also rows of one column.
macro_rules! columns {
    ($($of:ty),+ $(,)?) => {$(
        impl Column for $of {
            fn decode(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
                <Self as FromSql>::from_sql(ty, raw)
            }

            fn accepts(ty: &Type) -> bool {
                <Self as FromSql>::accepts(ty)
            }
        }

        impl Row for $of {
            const COLUMNS: &'static str = "";
            const WIDTH: usize = 1;

            fn read(reader: &mut RowReader<'_>) -> Result<Self, DbError> {
                reader.column("(the only one)")
            }

            fn check(types: &mut RowTypes<'_>) -> Result<(), String> {
                types.only::<Self>()
            }
        }
    )+};
}

columns!(Uuid, String, bool, i32, i64, f64, Decimal, Timestamp, DateTime<Utc>, NaiveDate, Vec<u8>);

/// Documents are kept as their text.
impl Column for JsonText {
    fn decode(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Json::from_sql(ty, raw).map(|Json(text)| text)
    }

    fn accepts(ty: &Type) -> bool {
        <Json<JsonText> as FromSql>::accepts(ty)
    }
}

/// Sums are as wide as it takes, and whole.
impl Column for Total {
    fn decode(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let sum = <Decimal as FromSql>::from_sql(ty, raw)?;
        if !sum.is_integer() {
            return Err(format!("holds {sum}, which is not whole").into());
        }
        Ok(Self(sum.trunc().normalize().mantissa()))
    }

    fn accepts(ty: &Type) -> bool {
        <Decimal as FromSql>::accepts(ty)
    }
}

impl<T: Column> Column for Vec<T> {
    fn decode(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let cells = Vec::<Cell<T>>::from_sql(ty, raw)?;
        Ok(cells.into_iter().map(|Cell(value)| value).collect())
    }

    fn accepts(ty: &Type) -> bool {
        <Vec<Cell<T>> as FromSql>::accepts(ty)
    }
}

/// Enumerations are stored as their words.
macro_rules! words {
    ($($of:ty),+) => {$(
        impl Column for $of {
            fn decode(ty: &Type, raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
                let word = <&str as FromSql>::from_sql(ty, raw)?;
                Self::parse(word).ok_or_else(|| format!("holds {word:?}").into())
            }

            fn accepts(ty: &Type) -> bool {
                <&str as FromSql>::accepts(ty)
            }
        }
    )+};
}

words!(
    AgentStatus,
    VerifiedStatus,
    VerificationSource,
    Role,
    ScopeType,
    Enforcement,
    Category,
    ArticleStatus,
    Relationship
);
