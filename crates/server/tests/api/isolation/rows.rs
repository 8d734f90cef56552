//! Row-level security itself: what the application's role can do in the database, whatever the server does.

use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{populated, tenant_tables};
use crate::support::{connect, server};

/// The application's connection, as a transaction of the server has it.
async fn as_app(client: &Client, tenant: Option<&str>) {
    client.batch_execute("BEGIN; SET LOCAL ROLE loopctl_app").await.unwrap();
    if let Some(tenant) = tenant {
        let set = "select set_config('loopctl.tenant_id', $1, true)";
        client.execute(set, &[&tenant]).await.unwrap();
    }
}

/// Runs one statement in a transaction of its own that is rolled back: the number of rows, or the error's code.
async fn attempt(client: &Client, tenant: Option<&str>, sql: &str) -> Result<u64, SqlState> {
    as_app(client, tenant).await;
    let outcome = client.execute(sql, &[]).await;
    client.batch_execute("ROLLBACK").await.unwrap();
    outcome.map_err(|error| error.code().cloned().unwrap())
}

/// One row of a table `t`. Of stories one that may be inserted as it is: a trigger has its say before row-level security has.
const ONE: &str = "order by to_jsonb(t) ->> 'agent_status' is distinct from 'pending' limit 1";

/// The columns that an insert may name.
async fn columns(owner: &Client, table: &str) -> String {
    let row = owner
        .query_one(
            "select string_agg(quote_ident(attname::text), ', ' order by attnum) from pg_attribute
             where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attidentity = ''",
            &[&table],
        )
        .await
        .unwrap();
    row.get(0)
}

/// Whether the application's role has a privilege.
async fn may(owner: &Client, table: &str, privilege: &str) -> bool {
    let sql = "select has_table_privilege('loopctl_app', $1::text, $2::text)";
    owner.query_one(sql, &[&table, &privilege]).await.unwrap().get(0)
}

/// Without a tenant there is nothing; with a setting that is none, an error.
#[tokio::test]
async fn without_a_tenant_there_are_no_rows() {
    let a = populated().await.tenant;
    let (owner, app) = (connect(&server().owner).await, connect(&server().app).await);
    let padded = format!(" {}", a.id);
    let settings: [Option<&str>; 9] = [
        None,
        Some(""),
        Some(" "),
        Some("nonsense"),
        Some("null"),
        Some("*"),
        Some("' or true --"),
        Some("00000000-0000-0000-0000-000000000000"),
        Some(&padded),
    ];
    for (table, column) in tenant_tables(&owner).await {
        for setting in settings {
            // The head of what belongs to no tenant has the nil UUID.
            let sql =
                format!("select 1 from {table} where {column} <> '00000000-0000-0000-0000-000000000000'");
            let none = setting.is_none_or(|text| text.is_empty() || text.starts_with("00000000"));
            let expected = match (none, may(&owner, &table, "SELECT").await) {
                (true, true) => Ok(0),
                // Secrets are not even to be read.
                (true, false) => Err(SqlState::INSUFFICIENT_PRIVILEGE),
                (false, _) => Err(SqlState::INVALID_TEXT_REPRESENTATION),
            };
            assert_eq!(attempt(&app, setting, &sql).await, expected, "{table} {setting:?}");
        }
        let columns = columns(&owner, &table).await;
        let row = owner
            .query_one(
                &format!("select to_jsonb(t)::text from {table} t where {column} = $1::text::uuid {ONE}"),
                &[&a.id],
            )
            .await
            .unwrap();
        let row: String = row.get(0);
        let insert = format!(
            "insert into {table} ({columns}) select {columns} from jsonb_populate_record(null::{table}, $row${row}$row$)"
        );
        for setting in [None, Some(""), Some("nonsense")] {
            let refused = attempt(&app, setting, &insert).await.unwrap_err();
            let nonsense = setting == Some("nonsense") && refused == SqlState::INVALID_TEXT_REPRESENTATION;
            assert!(
                refused == SqlState::INSUFFICIENT_PRIVILEGE || nonsense,
                "{table} {setting:?}: {refused:?}"
            );
        }
    }
}

/// In B's transactions A's rows are not there, cannot be changed, and cannot be made.
#[tokio::test]
async fn another_tenants_rows_do_not_exist() {
    let (a, b) = (populated().await.tenant, populated().await.tenant);
    let (owner, app) = (connect(&server().owner).await, connect(&server().app).await);
    let (mut updatable, mut deletable) = (0, 0);
    for (table, column) in tenant_tables(&owner).await {
        // A table without the privilege refuses; with it, there is nothing to read or to change.
        let denied = Err(SqlState::INSUFFICIENT_PRIVILEGE);
        let may = async |privilege: &str| may(&owner, &table, privilege).await;
        let own = format!("select 1 from {table}");
        let others = format!("select 1 from {table} where {column} is distinct from '{}'", b.id);
        if may("SELECT").await {
            assert!(attempt(&app, Some(&b.id), &own).await.unwrap() > 0, "{table}: B has rows of its own");
            assert_eq!(attempt(&app, Some(&b.id), &others).await, Ok(0), "{table}");
        } else {
            assert_eq!(attempt(&app, Some(&b.id), &own).await, denied, "{table}");
        }
        let update = format!("update {table} set {column} = {column} where {column} = '{}'", a.id);
        let delete = format!("delete from {table} where {column} = '{}'", a.id);
        let stolen = format!("update {table} set {column} = '{}'", b.id);
        let given = format!("update {table} set {column} = '{}'", a.id);
        let expected = if may("UPDATE").await { Ok(0) } else { denied.clone() };
        assert_eq!(attempt(&app, Some(&b.id), &update).await, expected, "{update}");
        if may("UPDATE").await {
            updatable += 1;
            // B's own rows cannot be given away either, and taking reaches B's own rows only.
            let refused = attempt(&app, Some(&b.id), &given).await.unwrap_err();
            let by_trigger =
                ["api_keys", "audit_heads"].contains(&table.as_str()) && refused == SqlState::RAISE_EXCEPTION;
            assert!(refused == SqlState::INSUFFICIENT_PRIVILEGE || by_trigger, "{given}: {refused:?}");
            // The head of the log refuses whatever does not advance it, its own tenant's row included.
            let own = match table.as_str() {
                "audit_heads" => Err(SqlState::RAISE_EXCEPTION),
                _ => attempt(&app, Some(&b.id), &own).await,
            };
            assert_eq!(attempt(&app, Some(&b.id), &stolen).await, own, "{stolen}");
        }
        let expected = if may("DELETE").await { Ok(0) } else { denied.clone() };
        deletable += u32::from(may("DELETE").await);
        assert_eq!(attempt(&app, Some(&b.id), &delete).await, expected, "{delete}");

        // A's own row, and B's row under A's name with a new id.
        let columns = columns(&owner, &table).await;
        for from in [&a.id, &b.id] {
            let select = format!("select to_jsonb(t) from {table} t where {column} = $1::text::uuid {ONE}");
            let mut row: Value = owner.query_one(&select, &[from]).await.unwrap().get(0);
            row[column] = Value::String(a.id.clone());
            if from == &b.id && column != "id" && row.get("id").is_some() {
                row["id"] = Value::String("0190163d-8694-739b-aea5-966c26f8ad91".to_owned());
            }
            let insert = format!(
                "insert into {table} ({columns})
                 select {columns} from jsonb_populate_record(null::{table}, $row${row}$row$)"
            );
            assert_eq!(attempt(&app, Some(&b.id), &insert).await, denied, "{table}");
        }
    }
    assert!(updatable >= 6 && deletable >= 5, "the privileges that make this test worth while");
}

/// The tenant goes with its transaction, committed or not, so that a pooled connection starts clean.
#[tokio::test]
async fn the_tenant_ends_with_its_transaction() {
    let a = populated().await.tenant;
    let app = connect(&server().app).await;
    for end in ["COMMIT", "ROLLBACK"] {
        as_app(&app, Some(&a.id)).await;
        assert_eq!(app.execute("select 1 from projects", &[]).await.unwrap(), 1);
        app.batch_execute(end).await.unwrap();
        assert_eq!(app.execute("select 1 from projects", &[]).await.unwrap(), 0, "{end}");
        assert_eq!(attempt(&app, None, "select 1 from projects").await, Ok(0), "{end}");
    }
}
