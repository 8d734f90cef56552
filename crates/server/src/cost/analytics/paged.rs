//! Pages of what is only known when all of it was added up: one statement yields the rows of a page and how many there are in all.

use crate::app::Identity;
use crate::db::{DbError, Params, Row, RowReader, RowTypes, Sql, statements};
use crate::http::{ApiResult, List, Page};

statements! {
    /// What follows in the transaction is planned for the values that it is asked for. For any values PostgreSQL would expect a few rows of
    /// the hundreds of thousands that there may be, and look up the story of each.
    PLANNED_ANEW = "select set_config('plan_cache_mode', 'force_custom_plan', true) where $1::uuid is not null";
}

/// A row of a page, none where a page is empty. The statement selects `c.total, {*}`.
pub(super) struct OfTotal<R> {
    total: i64,
    row: Option<R>,
}

impl<R: Row> Row for OfTotal<R> {
    const COLUMNS: &'static str = R::COLUMNS;
    const WIDTH: usize = 1 + R::WIDTH;

    fn read(reader: &mut RowReader<'_>) -> Result<Self, DbError> {
        Ok(Self { total: reader.column("total")?, row: Option::read(reader)? })
    }

    fn check(types: &mut RowTypes<'_>) -> Result<(), String> {
        types.column::<i64>("total")?;
        R::check(types)
    }
}

/// A statement of a page: `r` has all rows, with their place in `nth`, of which those of the page are selected. The last two parameters
/// are how many rows at most, and how many come before.
macro_rules! page_of {
    ($with:expr, $all:expr, $size:literal, $skip:literal) => {
        ::constcat::concat!(
            "with ",
            $with,
            ", all_rows as (",
            $all,
            ")
            select c.total, {*} from (select count(*) as total from all_rows) c
            left join (select * from all_rows where nth > $",
            $skip,
            "::bigint order by nth limit $",
            $size,
            ") r on true
            order by r.nth"
        )
    };
}

pub(super) use page_of;

/// The page of a statement.
///
/// # Errors
/// When the database fails.
pub(super) async fn page<R: Row>(
    caller: &Identity,
    sql: Sql<OfTotal<R>>,
    filters: Params<'_>,
    page: &Page,
) -> ApiResult<List<R>> {
    let params = [filters, &[&page.size, &page.skip]].concat();
    let (_, rows) = caller.read((PLANNED_ANEW.with(&[]), sql.with(&params))).await?;
    let total = rows.first().map_or(0, |row| row.total);
    Ok(List { data: rows.into_iter().filter_map(|row| row.row).collect(), meta: page.meta(total) })
}
