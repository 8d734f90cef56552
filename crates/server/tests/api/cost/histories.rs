//! Random histories: whatever was reported, corrected and deleted, sums and summaries are what one finds by adding up the reports.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Dated, days_ago, noon, run, summaries};
use crate::support::{Tenant, connect, rounds, seed, server, text};

/// Days of a history, today included.
const DAYS: u64 = 6;

/// A report, as it stands.
struct Report {
    day: String,
    /// Agent, epic, project and story.
    scopes: [(&'static str, String); 4],
    amounts: [i128; 3],
    counts: bool,
}

async fn reports(owner: &Client, tenant: &Tenant) -> Vec<Report> {
    let sql = "select to_jsonb(r) || jsonb_build_object('day', (inserted_at at time zone 'UTC')::date) from token_usage_reports r
               where tenant_id = $1::text::uuid";
    let rows = owner.query(sql, &[&tenant.id]).await.unwrap();
    let report = |row: &tokio_postgres::Row| {
        let row: Value = row.get(0);
        let scope = |name| (name, text(&row[format!("{name}_id")]));
        Report {
            day: text(&row["day"]),
            scopes: ["agent", "epic", "project", "story"].map(scope),
            amounts: ["input_tokens", "output_tokens", "cost_millicents"]
                .map(|name| row[name].as_i64().unwrap().into()),
            counts: row["deletion_reason"] != "user",
        }
    };
    rows.iter().map(report).collect()
}

/// Summaries of all days that are over, as they should be: totals, reports and mean, by scope and day. Zeros are left out.
fn expected(reports: &[Report]) -> BTreeMap<(String, &'static str, String), Value> {
    let mut sums = BTreeMap::<_, ([i128; 3], i64, std::collections::BTreeSet<&str>)>::new();
    for report in reports.iter().filter(|report| report.counts && report.day < days_ago(0)) {
        for (scope, id) in &report.scopes {
            let sum = sums.entry((report.day.clone(), *scope, id.clone())).or_default();
            for (sum, amount) in sum.0.iter_mut().zip(report.amounts) {
                *sum += amount;
            }
            sum.1 += 1;
            sum.2.insert(report.scopes[3].1.as_str());
        }
    }
    let row = |((day, scope, id), ([input, output, cost], count, stories)): (
        _,
        ([i128; 3], _, std::collections::BTreeSet<_>),
    )| {
        let key: (String, &'static str, String) = (day, scope, id);
        let mean = matches!(key.1, "epic" | "project").then(|| cost / stories.len() as i128);
        (key, json!([input as i64, output as i64, cost as i64, count, mean.map(|mean| mean as i64)]))
    };
    sums.into_iter().map(row).collect()
}

fn found(rows: &[Value]) -> BTreeMap<(String, &'static str, String), Value> {
    let scope = |row: &Value| {
        ["agent", "epic", "project", "story"].into_iter().find(|of| row["scope_type"] == **of).unwrap()
    };
    let rows = rows.iter().filter(|row| row["report_count"] != 0);
    rows.map(|row| {
        assert_eq!(row["stale"], false);
        let key = (text(&row["period_start"]), scope(row), text(&row["scope_id"]));
        let figures = json!([
            row["total_input_tokens"],
            row["total_output_tokens"],
            row["total_cost_millicents"],
            row["report_count"],
            row["avg_cost_per_story_millicents"]
        ]);
        (key, figures)
    })
    .collect()
}

/// Sums of days that are not what their reports come to, either way; sums of agents likewise; and days on which a story is counted
/// more or less than once. Which one of a day's sums counts the story does not matter.
const DIFFERENT: &str = "
    with live as (
        select *, (inserted_at at time zone 'UTC')::date as day from token_usage_reports
        where tenant_id = $1::text::uuid and deleted_at is null
    ), recounted as (
        select story_id, agent_id, day, phase, model_name, skill_version_id, project_id, epic_id, sum(input_tokens),
               sum(output_tokens), sum(cost_millicents), count(*), count(*) filter (where corrects_report_id is null)
        from live group by 1, 2, 3, 4, 5, 6, 7, 8
    ), counted as (
        select story_id, agent_id, day, phase, model_name, nullif(skill_version_id, '00000000-0000-0000-0000-000000000000'),
               project_id, epic_id, input_tokens, output_tokens, cost_millicents, reports::bigint, invocations::bigint
        from usage_by_day where tenant_id = $1::text::uuid
    ), by_agent as (
        select epic_id, agent_id, project_id, sum(input_tokens), sum(output_tokens), sum(cost_millicents), count(*)
        from live group by 1, 2, 3
    ), counted_by_agent as (
        select epic_id, agent_id, project_id, input_tokens, output_tokens, cost_millicents, reports
        from usage_by_agent where tenant_id = $1::text::uuid
    ), followed as (
        select of.what, u.day, of.before, lag(u.day, 1, '-infinity') over (partition by of.what order by u.day, of.before) as \"right\"
        from usage_by_day u cross join lateral (
            values (jsonb_build_array(u.story_id), u.story_before),
                   (jsonb_build_array(u.story_id, 'agent', u.agent_id), u.agent_before),
                   (jsonb_build_array(u.story_id, 'model', u.model_name), u.model_before),
                   (jsonb_build_array(u.story_id, 'phase', u.model_name, u.phase), u.phase_before)
        ) of (what, before)
        where u.tenant_id = $1::text::uuid
    )
    select count(*) from (
        ((select * from recounted) except (select * from counted)) union all
        ((select * from counted) except (select * from recounted))) sums
    full join (
        ((select * from by_agent) except (select * from counted_by_agent)) union all
        ((select * from counted_by_agent) except (select * from by_agent))) agents on false
    full join (select from followed where before <> \"right\") days on false";

#[tokio::test]
async fn sums_are_what_their_reports_come_to() {
    let owner = connect(&server().owner).await;
    let mut rng = StdRng::seed_from_u64(seed());
    for _ in 0..rounds(2) {
        let tenant = Tenant::new().await;
        let agents = [tenant.agent().await, tenant.agent().await];
        let mut stories = Vec::new();
        for _ in 0..2 {
            let project = tenant.project_of(&["1.1", "1.2", "1.3"]).await;
            for number in ["1.1", "1.2", "1.3"] {
                stories.push(tenant.story_id(&project, number).await);
            }
        }
        // Those that are not deleted, with what they have left to be taken back.
        let mut live: Vec<(String, i64)> = Vec::new();
        for _ in 0..60 {
            let (story, agent) =
                (stories.choose(&mut rng).unwrap(), agents.choose(&mut rng).unwrap().agent());
            match rng.random_range(0..10) {
                0..=5 => {
                    // Late ones as well: of a day that may have been counted.
                    let (at, amount) = (noon(rng.random_range(0..DAYS)), rng.random_range(0..1000));
                    let model = ["x", "y"].choose(&mut rng).unwrap();
                    let phase = ["planning", "implementing"].choose(&mut rng).unwrap();
                    let report = Dated { model, phase, ..Dated::of(story, agent, &at, [amount; 3]) };
                    live.push((report.write(&owner).await, amount));
                }
                6 | 7 if !live.is_empty() => {
                    let which = rng.random_range(0..live.len());
                    let (id, left) = &mut live[which];
                    // More or less, but not less than nothing.
                    let less = if *left > 0 { rng.random_range(1..=*left) } else { -1 };
                    *left -= less;
                    let body =
                        json!({"input_tokens": -less, "output_tokens": -less, "cost_millicents": -less});
                    tenant.user.post(&format!("/token-usage/{id}/correction"), body).await.expect(201);
                }
                8 if !live.is_empty() => {
                    let (id, _) = live.swap_remove(rng.random_range(0..live.len()));
                    if rng.random_bool(0.7) {
                        tenant.user.delete(&format!("/token-usage/{id}")).await.expect(200);
                    } else {
                        let sql =
                            "update token_usage_reports set deleted_at = now(), deletion_reason = 'retention'
                                   where $1::text::uuid in (id, corrects_report_id)";
                        owner.execute(sql, &[&id]).await.unwrap();
                    }
                }
                _ => {
                    run("cost_rollup", &tenant, json!({})).await;
                }
            }
        }
        let different: i64 = owner.query_one(DIFFERENT, &[&tenant.id]).await.unwrap().get(0);
        assert_eq!(different, 0);
        let all = json!({"period_start": days_ago(DAYS), "period_end": days_ago(1)});
        run("cost_rollup", &tenant, all.clone()).await;
        let rows = summaries(&owner, &tenant).await;
        assert_eq!(found(&rows), expected(&reports(&owner, &tenant).await));
        run("cost_rollup", &tenant, all).await;
        run("cost_rollup", &tenant, json!({})).await;
        assert_eq!(summaries(&owner, &tenant).await, rows, "the same rows again");
    }
}
