//! What the database tells without being asked (`LISTEN` and `NOTIFY`), on a line of its own beside the pool.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::AsyncMessage;

use super::line::{CONNECT, in_time, watch};
use super::{DbError, Login};

/// How often the line is tried on which nothing was told, and how long the database may take to answer on it. It is one that
/// nobody else uses: that it was cut without a word would not be noticed otherwise.
const PERIOD: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(3);

/// Listens until the line is lost, after `listen` was said on it, which names the channel. From when `begun` is called, nothing that is
/// told is missed: `heard` is given each notification's text.
///
/// # Errors
/// Why it does not listen, or no longer.
pub(crate) async fn listen(
    database: &Login,
    listen: &str,
    begun: impl Fn(),
    heard: impl Fn(&str),
) -> Result<Infallible, DbError> {
    let mut database = database.clone();
    watch(&mut database);
    let (client, mut connection) = in_time(CONNECT, database.connect()).await??;
    let ask = async {
        in_time(ANSWER, client.batch_execute(listen)).await??;
        begun();
        loop {
            sleep(PERIOD).await;
            in_time(ANSWER, client.batch_execute("")).await??;
        }
    };
    // Nothing passes on the line, answers included, but by this.
    let hear = async {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(told))) => heard(told.payload()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return DbError::from(error),
                None => return DbError::Unexpected("a line came to its end while it was in use".to_owned()),
            }
        }
    };
    tokio::select! {
        biased;
        error = hear => Err(error),
        failed = ask => failed,
    }
}
