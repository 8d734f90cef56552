//! Points that tell of all since a beginning; and what comes late, twice, or at the same time.

use futures_util::future::join_all;
use loopctl_server::db::Named;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::{
    CUMULATIVE, DAY, DELTA, SECOND, Written, claude_cost, claude_export, claude_tokens, codex_export,
    counted, is_taken, now, partial, send, send_as,
};
use crate::support::{Caller, Tenant, connect, seed, server};

const MINUTE: u64 = 60 * SECOND;

/// A total of input tokens.
async fn say(agent: &Caller, begun: u64, at: u64, tokens: f64) {
    let points = vec![claude_tokens("s", "input", begun, at, tokens)];
    is_taken(send(agent, &claude_export(&[], CUMULATIVE, points, Vec::new())).await);
}

async fn input(agent: &Caller) -> i64 {
    counted("agent_id", agent.agent()).await[0]
}

#[tokio::test]
async fn totals_count_by_what_they_say_more() {
    let agent = Tenant::new().await.agent().await;
    let begun = now() - 60 * MINUTE;
    let at = |minutes: u64| begun + minutes * MINUTE;
    for (minutes, tokens, so_far) in [
        (1, 100.0, 100),
        (2, 150.0, 150),
        (2, 150.0, 150),
        (5, 400.0, 400),
        // Late, and said before by the later one.
        (3, 200.0, 400),
        (4, 400.0, 400),
        (6, 400.0, 400),
    ] {
        say(&agent, begun, at(minutes), tokens).await;
        assert_eq!(input(&agent).await, so_far, "after {minutes} minutes");
    }
    // The process was begun anew, and says so: from nothing.
    say(&agent, at(10), at(11), 30.0).await;
    say(&agent, at(10), at(13), 90.0).await;
    assert_eq!(input(&agent).await, 490);
    // A late point of the former.
    say(&agent, begun, at(9), 425.0).await;
    assert_eq!(input(&agent).await, 515);
    // It has begun anew and does not say so: less than before.
    say(&agent, at(10), at(14), 5.0).await;
    assert_eq!(input(&agent).await, 520);
    // Differences beside totals are other series.
    let points = vec![claude_tokens("s", "input", at(14), at(15), 1.0)];
    is_taken(send(&agent, &claude_export(&[], DELTA, points, Vec::new())).await);
    assert_eq!(input(&agent).await, 521);
    // Cost is exact, whatever floats make of it.
    let totals = [0.1, 0.2, 0.1 + 0.2, 0.7, 1.1].into_iter().zip(20..);
    let cost = totals.map(|(dollars, minutes)| claude_cost("s", begun, at(minutes), dollars)).collect();
    is_taken(send(&agent, &claude_export(&[], CUMULATIVE, Vec::new(), cost)).await);
    assert_eq!(counted("agent_id", agent.agent()).await[4], 1_100_000_000_000);
}

/// Many at once, in any order, each of them twice: it comes to what each beginning said last.
#[tokio::test]
async fn whoever_comes_first() {
    let mut rng = StdRng::seed_from_u64(seed());
    let agent = Tenant::new().await.agent().await;
    let begun = now() - 5 * 60 * MINUTE;
    let (mut exports, mut expected) = (Vec::new(), 0);
    for process in 0..3 {
        let (start, mut total) = (begun + process * MINUTE, 0);
        for minutes in 1..12 {
            total += rng.random_range(0..1000);
            let point = claude_tokens("s", "input", start, start + minutes * MINUTE, f64::from(total));
            exports.push(claude_export(&[], CUMULATIVE, vec![point], Vec::new()));
        }
        expected += i64::from(total);
    }
    for nth in 0..12 {
        let at = begun + nth * MINUTE;
        let points = vec![
            claude_tokens("s", "input", at, at + MINUTE, 7.0),
            claude_tokens("s", "output", at, at + MINUTE, 1.0),
        ];
        exports.push(claude_export(&[], DELTA, points, Vec::new()));
        exports.push(codex_export(&[], at, at + MINUTE, &[("input", 3.0), ("cached_input", 2.0)]));
        expected += 7 + 1;
    }
    let mut sent: Vec<_> = exports.iter().chain(&exports).collect();
    sent.shuffle(&mut rng);
    for together in sent.chunks(16) {
        let replies =
            join_all(together.iter().map(|export| send_as(&agent, *export, Written::Protobuf))).await;
        replies.into_iter().for_each(|reply| drop(reply.expect(200)));
    }
    assert_eq!(counted("agent_id", agent.agent()).await, [expected, 12, 24, 0, 0]);
}

/// Runs the statement that forgets old points.
async fn prune() {
    let sql = loopctl_server::statements()
        .map(|(_, named): (_, &Named)| named)
        .find(|named| named.name == "PRUNE_MEASURED_POINTS")
        .unwrap();
    connect(&server().owner).await.query(sql.text, &[&1000]).await.unwrap();
}

/// What is forgotten is refused when it comes again.
#[tokio::test]
async fn old_points_are_forgotten() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let begun = now() - DAY;
    say(&agent, begun, begun + MINUTE, 10.0).await;
    say(&agent, begun, begun + 2 * MINUTE, 30.0).await;
    // As if it had been nine days ago: a point was a long time before, and one is of this week.
    let owner = connect(&server().owner).await;
    let shift = "update measured_points set begun_ns = begun_ns - $2, at_ns = at_ns - case when value = 10 then $2 else 0 end
                 where tenant_id = $1::text::uuid";
    let nine = i64::try_from(9 * DAY).unwrap();
    owner.execute(shift, &[&tenant.id, &nine]).await.unwrap();
    prune().await;
    let left = "select count(*) from measured_points where tenant_id = $1::text::uuid";
    assert_eq!(owner.query_one(left, &[&tenant.id]).await.unwrap().get::<_, i64>(0), 1);
    // It goes on from what is known.
    let long = begun - 9 * DAY;
    say(&agent, long, begun + 3 * MINUTE, 31.0).await;
    assert_eq!(input(&agent).await, 31);
    // Where nothing is known any more, nobody can tell what has counted.
    owner
        .execute("delete from measured_points where tenant_id = $1::text::uuid", &[&tenant.id])
        .await
        .unwrap();
    let points = vec![claude_tokens("s", "input", long, begun + 4 * MINUTE, 50.0)];
    let (count, why) = partial(send(&agent, &claude_export(&[], CUMULATIVE, points, Vec::new())).await);
    assert_eq!(count, "1");
    assert!(why.contains("it began more than a week ago"), "{why}");
    assert_eq!(input(&agent).await, 31);
}
