//! The agents. Each does the next thing that the server's state allows, and may be killed at any moment: all that
//! survives is the story that it had in hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::world::{Actor, Part, World};
use crate::support::client;

/// Most lives last at most this long, in milliseconds: long enough for a few requests, too short for all.
const SHORT_LIFE: u64 = 400;
/// Every fourth lasts this long, so that the work gets on where a request takes as long as a short life.
const LONG_LIFE: u64 = 2000;
/// A pause where there is nothing to do or nobody answers.
const PAUSE: Duration = Duration::from_millis(40);

/// Rejections end before the work does, so that a late one (which may hit what is verified) cannot undo the end.
const REJECTIONS_UNTIL: usize = 1000;

/// What waits for a review or a verdict.
const REPORTED: &str = "agent_status=reported_done&verified_status=unverified";

type Hand = Arc<Mutex<Option<String>>>;

pub(super) struct Fleet {
    tasks: JoinSet<()>,
    deaths: Arc<AtomicUsize>,
}

impl Fleet {
    /// Waits until all agents have noticed that the work is done; returns how often one was killed.
    pub(super) async fn await_all(mut self) -> usize {
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.deaths.load(Ordering::Relaxed)
    }
}

/// Lets all agents live, die and live again until the world is finished.
pub(super) fn launch(world: &Arc<World>) -> Fleet {
    let deaths = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for actor in &world.actors {
        tasks.spawn(lives(Arc::clone(world), actor.clone(), Arc::clone(&deaths)));
    }
    Fleet { tasks, deaths }
}

async fn lives(world: Arc<World>, actor: Actor, deaths: Arc<AtomicUsize>) {
    let hand = Hand::default();
    while !world.is_finished() {
        let mut life = tokio::spawn(work(Arc::clone(&world), actor.clone(), Arc::clone(&hand)));
        let span = match world.random(4) {
            0 => LONG_LIFE,
            _ => world.random(SHORT_LIFE),
        };
        let span = Duration::from_millis(span);
        match tokio::time::timeout(span, &mut life).await {
            Ok(ended) => ended.unwrap(),
            Err(_) => {
                // Also drops the connection, wherever its request is.
                life.abort();
                match life.await {
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    _ => deaths.fetch_add(1, Ordering::Relaxed),
                };
            }
        }
    }
}

async fn work(world: Arc<World>, actor: Actor, hand: Hand) {
    let http = client();
    while !world.is_finished() {
        let busy = match actor.part {
            Part::Implementer => implement(&world, &http, &actor, &hand).await,
            Part::Reviewer => review(&world, &http, &actor).await,
            Part::Orchestrator => orchestrate(&world, &http, &actor).await,
        };
        if busy.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The next step of an implementer. None: nothing to do, or no answer.
async fn implement(world: &World, http: &reqwest::Client, actor: &Actor, hand: &Hand) -> Option<()> {
    let in_hand = hand.lock().unwrap().clone();
    let Some(story) = in_hand else {
        let path = format!("/stories/ready?project_id={}&limit=10", world.project);
        let ready = world.read(http, &actor.key, &path).await?;
        let mut choice = ready["data"].as_array()?.clone();
        if choice.is_empty() {
            // What somebody has acknowledged and then given up.
            choice = stories(world, http, actor, "agent_status=contracted").await?;
        }
        *hand.lock().unwrap() = one_of(world, &choice)?["id"].as_str().map(str::to_owned);
        return Some(());
    };
    let state = world.read(http, &actor.key, &format!("/stories/{story}")).await?;
    let state = &state["story"];
    let mine = state["assigned_agent_id"] == actor.id.as_str();
    let (step, body) = match state["agent_status"].as_str()? {
        // Verified and pending again does not happen here; what is pending was ready.
        "pending" => {
            let criteria = state["acceptance_criteria"].as_array().map_or(0, Vec::len);
            let echo = json!({"story_title": state["title"], "ac_count": criteria});
            (("contract", "contracted"), echo)
        }
        "contracted" => (("claim", "assigned"), json!({})),
        "assigned" if mine => (("start", "implementing"), json!({})),
        "implementing" if mine && state["review_requested_at"].is_null() => {
            (("request-review", "review_requested"), json!({}))
        }
        _ => {
            *hand.lock().unwrap() = None;
            return Some(());
        }
    };
    let (status, code) = world.act(http, actor, &story, step, body).await?;
    if code == "dependencies_not_met" {
        // A prerequisite was sent back after all, and somebody has to be free to rework it.
        *hand.lock().unwrap() = None;
    }
    // Otherwise somebody was faster, or an earlier life of our own was: the next look tells.
    (status == 200).then_some(())
}

/// Reports and reviews what waits for it.
async fn review(world: &World, http: &reqwest::Client, actor: &Actor) -> Option<()> {
    let waiting = stories(world, http, actor, "agent_status=implementing").await?;
    let waiting = some_of(world, waiting, |story| !story["review_requested_at"].is_null());
    for story in &waiting {
        let id = story["id"].as_str()?;
        world.act(http, actor, id, ("report", "reported_done"), json!({})).await?;
    }
    let reported = stories(world, http, actor, REPORTED).await?;
    let unreviewed = some_of(world, reported, |story| !world.is_reviewed(story));
    for story in &unreviewed {
        let body = json!({"review_type": "enhanced", "summary": "read"});
        let step = ("review-complete", "review_completed");
        let (status, _) = world.act(http, actor, story["id"].as_str()?, step, body).await?;
        if status == 201 {
            world.set_reviewed(story);
        }
    }
    (!waiting.is_empty() || !unreviewed.is_empty()).then_some(())
}

/// Verifies what is reviewed, and now and then what may not be; sends some back.
async fn orchestrate(world: &World, http: &reqwest::Client, actor: &Actor) -> Option<()> {
    let reported = stories(world, http, actor, REPORTED).await?;
    let hasty = world.random(10) == 0;
    let due = some_of(world, reported, |story| hasty || world.is_reviewed(story));
    for story in &due {
        let id = story["id"].as_str()?;
        let early = world.acknowledged() < REJECTIONS_UNTIL;
        if early && world.random(12) == 0 && world.send_back_once(id) {
            let body = json!({"reason": "once more"});
            world.act(http, actor, id, ("reject", "rejected"), body).await?;
        } else {
            let body = json!({"result": "pass", "review_type": "enhanced", "summary": "checked"});
            world.act(http, actor, id, ("verify", "verified"), body).await?;
        }
    }
    (!due.is_empty()).then_some(())
}

async fn stories(world: &World, http: &reqwest::Client, actor: &Actor, filter: &str) -> Option<Vec<Value>> {
    let path = format!("/stories?project_id={}&limit=50&{filter}", world.project);
    world.read(http, &actor.key, &path).await?["data"].as_array().cloned()
}

/// A few of those that fit, from a random place on, so that several agents rarely choose the same.
fn some_of(world: &World, list: Vec<Value>, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut list: Vec<Value> = list.into_iter().filter(fits).collect();
    let start = usize::try_from(world.random(list.len() as u64)).unwrap_or(0);
    list.rotate_left(start);
    list.truncate(4);
    list
}

fn one_of<'a>(world: &World, list: &'a [Value]) -> Option<&'a Value> {
    let index = usize::try_from(world.random(list.len() as u64)).ok()?;
    list.get(index)
}
