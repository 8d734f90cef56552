//! The floor: what PostgreSQL on this machine makes of the least that a request could ask of it, through pgbench. Tables
//! and database are the benchmark's own.

use crate::bench::{Bench, Pgbench};
use crate::service::{OWNER, connect};

const DATABASE: &str = "bench_floor";
/// Rows of each table.
const ROWS: u32 = 2_000;
const TENANT: &str = "00000000-0000-0000-0000-000000000001";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// A row by its primary key, prepared.
    Read,
    /// An update of a narrow row and an insert into a log, committed.
    Write,
}

impl Floor {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "one select by primary key",
            Self::Write => "one narrow update, one insert, commit",
        }
    }

    fn script(self) -> String {
        match self {
            Self::Read => "select * from wide where t = :tenant and id = :id;\n".to_owned(),
            Self::Write => format!(
                "\\set n random(1, {ROWS})\n\
                 begin;\n\
                 update narrow set status = 'x', at = clock_timestamp() where n = :n;\n\
                 insert into log values (gen_random_uuid(), :tenant, clock_timestamp(), '{{\"a\": 1}}');\n\
                 commit;\n"
            ),
        }
    }
}

/// Measures floors, and keeps the id of the row that is read.
pub(crate) struct Floors {
    id: String,
}

impl Floors {
    pub(crate) async fn create(bench: &Bench) -> Self {
        let mut config = bench.service.owner_config();
        let owner = bench.service.owner().await;
        owner.batch_execute(&format!("create database {DATABASE}")).await.expect("a database");
        let client = connect(config.dbname(DATABASE)).await;
        let tables = format!(
            "create table wide (t uuid, id uuid, n int, title text, body text, j jsonb, primary key (t, id));
             create table narrow (t uuid, id uuid, n int, status text, at timestamptz, primary key (t, id))
                 with (fillfactor = 70);
             create table log (id uuid primary key, t uuid, at timestamptz, body jsonb);
             insert into wide
             select '{TENANT}', gen_random_uuid(), n, 'A story', repeat('x', 400), '{{}}' from generate_series(1, {ROWS}) n;
             insert into narrow select t, id, n, 'pending', now() from wide;
             create unique index on narrow (n)"
        );
        client.batch_execute(&tables).await.expect("tables");
        client.batch_execute("vacuum analyze").await.expect("statistics");
        let row = client.query_one("select id::text from wide where n = 1000", &[]).await.expect("a row");
        Self { id: row.get(0) }
    }

    pub(crate) async fn run(&self, bench: &Bench, floor: Floor, connections: usize) -> Pgbench {
        let define = [format!("tenant={TENANT}"), format!("id={}", self.id)];
        bench.pgbench(DATABASE, OWNER, &define, &[floor.script()], connections).await
    }
}
