//! The document is sent while it is read, from one snapshot, and a client that is slow or gone holds nothing for long.

use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use futures_util::stream::FuturesUnordered;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{export, import, stories};
use crate::hangups::{everybody_is_served, no_transaction_stays_open};
use crate::support::{PATIENCE, Tenant, connect, server, story, text};

/// A project of so many epics and stories in each, with descriptions of so many characters; each story but an
/// epic's first depends on the one before it. Larger than an import may be.
async fn large(tenant: &Tenant, epics: i32, stories: i32, description: i32) -> String {
    let project = tenant.project().await;
    let owner = connect(&server().owner).await;
    // Foreign keys are not checked: they hold by construction, and one by one they take a minute.
    owner.batch_execute("set session_replication_role = replica").await.unwrap();
    for sql in [
        "insert into epics (tenant_id, id, project_id, number, title, position)
         select tenant_id, gen_random_uuid(), id, n, 'Epic', n from projects, generate_series(1, $2::int) n
         where id::text = $1 and $3::int > 0 and $4::int > 0",
        "insert into stories (tenant_id, id, project_id, epic_id, epic_position, number, title, description,
                              criteria_digest)
         select tenant_id, gen_random_uuid(), project_id, id, position, number || '.' || n, 'Story',
                repeat('x', $4::int), criteria_digest('Story', '[]')
         from epics, generate_series(1, $3::int) n where project_id::text = $1 and number <= $2::int",
        "insert into story_dependencies (tenant_id, id, project_id, story_id, depends_on_story_id)
         select s.tenant_id, gen_random_uuid(), s.project_id, s.id, p.id
         from stories s join stories p on p.project_id = s.project_id and p.epic_id = s.epic_id and p.sort_key = s.sort_key - 10
         where s.project_id::text = $1 and least($2::int, $3::int, $4::int) > 0",
        "insert into story_states (tenant_id, id, project_id, epic_id, epic_position, queue_key, prerequisites, unmet_stories,
                                   ready, blocked)
         select tenant_id, id, project_id, epic_id, epic_position, story_queue_key(order_key, number),
                (split_part(number, '.', 2) <> '1')::int, (split_part(number, '.', 2) <> '1')::int,
                split_part(number, '.', 2) = '1', split_part(number, '.', 2) <> '1'
         from stories where project_id::text = $1 and least($2::int, $3::int, $4::int) > 0",
        "insert into epic_states (tenant_id, id, project_id, stories, open, blocked)
         select tenant_id, epic_id, project_id, count(*), count(*), count(*) filter (where blocked)
         from story_states where project_id::text = $1 and least($2::int, $3::int, $4::int) > 0
         group by tenant_id, epic_id, project_id",
    ] {
        owner.execute(sql, &[&project, &epics, &stories, &description]).await.unwrap();
    }
    project
}

/// 40 MB: far more than what the network between server and client holds.
pub(crate) async fn huge(tenant: &Tenant) -> String {
    large(tenant, 4, 500, 20_000).await
}

/// Starts an export and reads nothing but its head.
async fn begin(tenant: &Tenant, project: &str) -> Response {
    let path = format!("/projects/{project}/export");
    let response = tenant.user.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// The sizes of the pieces in which an export is sent, and the document.
async fn pieces(tenant: &Tenant, project: &str) -> (Vec<usize>, Vec<u8>) {
    let address = server().base.strip_prefix("http://").unwrap();
    let mut socket = BufReader::new(TcpStream::connect(address).await.unwrap());
    let key = tenant.user.key.as_deref().unwrap();
    let request = format!(
        "GET /api/v1/projects/{project}/export HTTP/1.1\r\nHost: loopctl.test\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert_ne!(socket.read_line(&mut line).await.unwrap(), 0);
    }
    let (mut sizes, mut document) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        socket.read_line(&mut line).await.unwrap();
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        if size == 0 {
            return (sizes, document);
        }
        let begin = document.len();
        document.resize(begin + size, 0);
        socket.read_exact(&mut document[begin..]).await.unwrap();
        socket.read_line(&mut line).await.unwrap();
        sizes.push(size);
    }
}

#[tokio::test]
async fn twenty_thousand_stories_are_sent_in_pieces() {
    let tenant = Tenant::new().await;
    let project = large(&tenant, 20, 1000, 500).await;
    let (sizes, document) = pieces(&tenant, &project).await;
    let largest = sizes.iter().max().unwrap();
    assert!(document.len() > 15_000_000 && sizes.len() > 100, "{} pieces of {}", sizes.len(), document.len());
    assert!(*largest < 512 * 1024, "a piece of {largest} bytes");
    let document: Value = serde_json::from_slice(&document).unwrap();
    let mut seen = stories(&document).map(|story| text(&story["number"]));
    for epic in 1..=20 {
        for place in 1..=1000 {
            assert_eq!(seen.next(), Some(format!("{epic}.{place}")));
        }
    }
    assert_eq!(seen.next(), None);
    let edges = document["story_dependencies"].as_array().unwrap();
    assert_eq!(edges.len(), 20 * 999);
    let mut seen = edges.iter();
    for epic in 1..=20 {
        for place in 2..=1000 {
            let edge =
                json!({"story": format!("{epic}.{place}"), "depends_on": format!("{epic}.{}", place - 1)});
            assert_eq!(seen.next(), Some(&edge));
        }
    }
}

/// The last story cannot be read: the answer has begun by then, and must not look complete.
#[tokio::test]
async fn a_failure_in_the_middle_breaks_the_connection() {
    let tenant = Tenant::new().await;
    let project = large(&tenant, 2, 500, 1000).await;
    let owner = connect(&server().owner).await;
    let sql = "update stories set estimated_hours = 'NaN' where project_id::text = $1 and number = '2.500'";
    assert_eq!(owner.execute(sql, &[&project]).await.unwrap(), 1);
    let mut response = begin(&tenant, &project).await;
    let mut received = Vec::new();
    let failure = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received.extend_from_slice(&chunk),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(failure.is_some(), "complete after {} bytes", received.len());
    assert!(received.len() > 500_000, "{} bytes", received.len());
    serde_json::from_slice::<Value>(&received).unwrap_err();
    // The connection to the database is as good as before.
    no_transaction_stays_open().await;
    let sql = "update stories set estimated_hours = 1 where project_id::text = $1 and number = '2.500'";
    owner.execute(sql, &[&project]).await.unwrap();
    assert_eq!(stories(&export(&tenant.user, &project).await).count(), 1000);
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_leaves_nothing_open() {
    let tenant = Tenant::new().await;
    let project = huge(&tenant).await;
    for _ in 0..4 {
        let hang_up = async |chunks: usize| {
            let mut response = begin(&tenant, &project).await;
            for _ in 0..chunks {
                assert!(response.chunk().await.unwrap().is_some());
            }
        };
        join_all((0..6).map(hang_up)).await;
    }
    no_transaction_stays_open().await;
    everybody_is_served().await;
    assert_eq!(stories(&export(&tenant.user, &project).await).count(), 2000);
}

/// What is written and not read waits in a file: as long as a snapshot is open, nothing that is changed can be cleared away.
#[tokio::test]
async fn a_snapshot_ends_before_a_slow_client_has_read() {
    let tenant = Tenant::new().await;
    let project = large(&tenant, 2, 500, 10_000).await;
    let response = begin(&tenant, &project).await;
    no_transaction_stays_open().await;
    let owner = connect(&server().owner).await;
    let sql = "update stories set title = 'Changed' where project_id::text = $1";
    assert_eq!(owner.execute(sql, &[&project]).await.unwrap(), 1000);
    let document: Value = response.json().await.unwrap();
    assert_eq!(stories(&document).count(), 1000);
    assert!(stories(&document).all(|story| story["title"] == "Story"));
}

/// Clients that do not read hold some connections to the database for a while, but never all of them.
#[tokio::test]
async fn who_does_not_read_keeps_nobody_waiting() {
    let tenant = Tenant::new().await;
    let project = huge(&tenant).await;
    let mut stalled: FuturesUnordered<_> = (0..24).map(|_| begin(&tenant, &project)).collect();
    let mut held = Vec::new();
    while held.len() < 2 {
        held.extend(timeout(PATIENCE, stalled.next()).await.unwrap());
    }
    // Two exports are under way, all that a tenant may have, the others wait, and everybody else is served, also with an export.
    join(everybody_is_served(), everybody_is_served()).await;
    let other = Tenant::new().await;
    let theirs = other.project_of(&["1.1"]).await;
    assert_eq!(stories(&export(&other.user, &theirs).await).count(), 1);
    drop((held, stalled));
    no_transaction_stays_open().await;
}

/// What is committed while the document is read is not in it.
#[tokio::test]
async fn the_document_is_one_snapshot() {
    let tenant = Tenant::new().await;
    let project = huge(&tenant).await;
    let response = begin(&tenant, &project).await;
    let later = json!({
        "epics": [{"number": 9, "title": "Later", "stories": [story("9.1"), story("9.2")]}],
        "story_dependencies": [{"story": "9.2", "depends_on": "9.1"}, {"story": "4.500", "depends_on": "9.1"}],
        "epic_dependencies": [{"epic": 3, "depends_on": 2}],
    });
    import(&tenant.user, &project, &later).await;
    let owner = connect(&server().owner).await;
    let sql = "update stories set title = 'Changed' where project_id::text = $1 and number = '4.500'";
    assert_eq!(owner.execute(sql, &[&project]).await.unwrap(), 1);
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["epics"].as_array().unwrap().len(), 4);
    assert_eq!(stories(&document).count(), 2000);
    assert_eq!(stories(&document).last().unwrap()["title"], "Story");
    assert_eq!(document["story_dependencies"].as_array().unwrap().len(), 4 * 499);
    assert_eq!(document["epic_dependencies"], json!([]));

    let document = export(&tenant.user, &project).await;
    assert_eq!(document["epics"].as_array().unwrap().len(), 5);
    assert_eq!(document["story_dependencies"].as_array().unwrap().len(), 4 * 499 + 2);
    assert_eq!(document["epic_dependencies"], json!([{"epic": 3, "depends_on": 2}]));
}

/// Imports that race with exports are in a document with all that belongs to them, or not at all.
#[tokio::test]
async fn a_racing_import_is_in_whole_or_not_at_all() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1"]).await;
    let mut seen = 0;
    for round in 2..14 {
        let [first, second, third] = [1, 2, 3].map(|place| format!("{round}.{place}"));
        let payload = json!({
            "epics": [{"number": round, "title": "Epic", "depends_on_epics": [1],
                       "stories": [story(&first), story(&second), story(&third)]}],
            "story_dependencies": [{"story": second, "depends_on": first}, {"story": third, "depends_on": "1.1"}],
        });
        let exports = join_all((0..6).map(|_| export(&tenant.user, &project)));
        let (_, documents) = join(import(&tenant.user, &project, &payload), exports).await;
        for document in documents {
            let epics = document["epics"].as_array().unwrap().len() - 1;
            assert!([round - 2, round - 1].contains(&epics), "{epics} epics in round {round}");
            assert_eq!(stories(&document).count(), 1 + 3 * epics);
            assert_eq!(document["story_dependencies"].as_array().unwrap().len(), 2 * epics);
            assert_eq!(document["epic_dependencies"].as_array().unwrap().len(), epics);
            seen += 1;
        }
    }
    assert_eq!(seen, 72);
}
