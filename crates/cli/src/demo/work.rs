//! The loop itself: implementers, a reviewer and an orchestrator in parallel, each with its own key, and the
//! cheats of the plan at their places.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::backlog::Backlog;
use super::board::{Board, Task};
use super::plan::{Cheat, Plan, hash};
use super::tally::{Counts, Step, Tally};
use super::team::{Team, text};
use crate::client::Client;
use crate::error::Error;

/// How long an estimated hour takes here. Only for the eye: without it everything is over before one can look.
const HOUR: Duration = Duration::from_millis(10);

/// What orchestrators complain about.
const REASONS: [&str; 4] = [
    "A criterion has no test",
    "The second criterion holds for the happy path only",
    "The change works, but the documentation still describes the old behaviour",
    "Review findings are marked as fixed and are not",
];

/// Everything that the tasks share.
#[derive(Debug)]
pub(super) struct Shop {
    team: Arc<Team>,
    plan: Plan,
    board: Board,
    tally: Tally,
    hours: HashMap<String, f64>,
    seed: u64,
    bar: ProgressBar,
}

/// A story on its way.
#[derive(Debug)]
struct Job {
    task: Task,
    /// The implementer that holds it.
    holder: usize,
    /// The one that started it first; another one where it was given to a puppet.
    first: usize,
}

impl Shop {
    pub(super) fn new(team: Arc<Team>, backlog: &Backlog, seed: u64, bar: ProgressBar) -> Self {
        let hours = backlog.stories.iter().map(|story| (story.number.clone(), story.hours));
        Self {
            team,
            plan: Plan::new(seed, &backlog.stories),
            board: Board::new(backlog.stories.len()),
            tally: Tally::default(),
            hours: hours.collect(),
            seed,
            bar,
        }
    }

    /// Works until every story is verified. The first surprise ends everything.
    pub(super) async fn run(self) -> Result<Counts, Error> {
        let shop = Arc::new(self);
        let (to_reviewer, for_review) = unbounded_channel();
        let (to_orchestrator, for_verification) = unbounded_channel();
        let mut tasks = JoinSet::new();
        for me in 0..shop.team.implementers.len() {
            tasks.spawn(implement(Arc::clone(&shop), me, to_reviewer.clone()));
        }
        // The others end when nobody can send them work any more.
        drop(to_reviewer);
        tasks.spawn(review(Arc::clone(&shop), for_review, to_orchestrator));
        tasks.spawn(orchestrate(Arc::clone(&shop), for_verification));
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| Error::Other(format!("An agent of the demo failed: {error}")))??;
        }
        Ok(shop.tally.snapshot())
    }

    /// A step that has to succeed.
    async fn step(
        &self,
        who: &Client,
        number: &str,
        step: Step,
        body: Option<Value>,
    ) -> Result<Value, Error> {
        let answer = who.post(&self.team.path(number, step.path()), body.as_ref()).await;
        self.tally.accept(step, answer)
    }

    /// A cheat, if the plan has it here.
    async fn cheat(
        &self,
        cheat: Cheat,
        who: &Client,
        task: &Task,
        step: Step,
        body: Option<Value>,
    ) -> Result<(), Error> {
        if !self.plan.has(&task.number, task.attempt, cheat) {
            return Ok(());
        }
        let answer = who.post(&self.team.path(&task.number, step.path()), body.as_ref()).await;
        self.refused(cheat, &task.number, answer)
    }

    fn refused(&self, cheat: Cheat, number: &str, answer: Result<Value, Error>) -> Result<(), Error> {
        self.tally.refuse(cheat, number, answer)?;
        let refusals = self.tally.snapshot().refusals();
        self.bar.set_message(format!("{refusals} cheats refused"));
        Ok(())
    }

    fn agent(&self, number: usize) -> &Client {
        &self.team.implementers[number].agent
    }

    /// Another implementer than `me`.
    fn rival(&self, me: usize) -> usize {
        (me + 1) % self.team.implementers.len()
    }

    /// The echo of a story, for its contract.
    async fn echo(&self, agent: &Client, number: &str) -> Result<Value, Error> {
        let story = agent.get(&self.team.path(number, ""), &[]).await?;
        let story = &story["story"];
        let criteria = story["acceptance_criteria"].as_array().map_or(0, Vec::len);
        Ok(json!({"story_title": story["title"], "ac_count": criteria}))
    }

    /// From `pending` to a claim; returns who has it.
    async fn acquire(&self, me: usize, task: &Task) -> Result<usize, Error> {
        let (agent, number) = (self.agent(me), task.number.as_str());
        let contract = self.echo(agent, number).await?;
        let criteria = contract["ac_count"].as_u64().unwrap_or(0);
        let wrong_title = json!({"story_title": "The thing from the meeting", "ac_count": criteria});
        let wrong_count = json!({"story_title": contract["story_title"], "ac_count": criteria + 1});
        self.cheat(Cheat::ClaimWithoutContract, agent, task, Step::Claim, None).await?;
        self.cheat(Cheat::WrongTitle, agent, task, Step::Contract, Some(wrong_title)).await?;
        self.cheat(Cheat::WrongCount, agent, task, Step::Contract, Some(wrong_count)).await?;
        self.step(agent, number, Step::Contract, Some(contract)).await?;
        self.cheat(Cheat::StartWithoutClaim, agent, task, Step::Start, None).await?;
        if self.plan.has(number, task.attempt, Cheat::DoubleClaim) {
            return self.race(me, number).await;
        }
        self.step(agent, number, Step::Claim, None).await?;
        Ok(me)
    }

    /// Two agents claim at once. Whoever wins goes on with the story.
    async fn race(&self, me: usize, number: &str) -> Result<usize, Error> {
        let rival = self.rival(me);
        let path = self.team.path(number, Step::Claim.path());
        let (mine, theirs) =
            tokio::join!(self.agent(me).post(&path, None), self.agent(rival).post(&path, None));
        let (holder, won, lost) = match (mine, theirs) {
            (mine @ Ok(_), theirs) => (me, mine, theirs),
            (mine, theirs) => (rival, theirs, mine),
        };
        self.tally.accept(Step::Claim, won)?;
        self.refused(Cheat::DoubleClaim, number, lost)?;
        Ok(holder)
    }

    /// Another implementer takes the started story over from `first`; returns who has it.
    async fn take_over(&self, first: usize, number: &str) -> Result<usize, Error> {
        self.step(self.agent(first), number, Step::Unclaim, None).await?;
        let puppet = self.rival(first);
        self.begin(self.agent(puppet), number).await?;
        Ok(puppet)
    }

    /// From `pending` to work, by the book.
    async fn begin(&self, agent: &Client, number: &str) -> Result<(), Error> {
        let contract = self.echo(agent, number).await?;
        self.step(agent, number, Step::Contract, Some(contract)).await?;
        self.step(agent, number, Step::Claim, None).await?;
        self.step(agent, number, Step::Start, None).await?;
        Ok(())
    }

    /// Work in progress is deleted with all that is known of it, and comes back as done. Nobody waits for this story: it is
    /// in a project of its own.
    async fn launder(&self, task: &Task, agent: &Client) -> Result<(), Error> {
        if !self.plan.has(&task.number, task.attempt, Cheat::ImportDone) {
            return Ok(());
        }
        let (user, project) = (&self.team.user, self.team.prototypes.as_str());
        let (number, path) =
            (format!("{}.{}", task.number, task.attempt), format!("/projects/{project}/import"));
        let plan = |status: &str| {
            let story = json!({"number": number, "title": "Prototype", "initial_verified_status": status,
                               "acceptance_criteria": [{"criterion": "It runs once"}]});
            json!({"merge": true, "epics": [{"number": 1, "title": "Prototypes", "stories": [story]}]})
        };
        user.post(&path, Some(&plan("unverified"))).await?;
        let found = user.get("/stories", &[("project_id", project), ("number", &number)]).await?;
        let id = text(&found["data"][0]["id"])?;
        self.begin(agent, &id).await?;
        user.write(Method::DELETE, &format!("/stories/{id}"), None).await?;
        let again = user.post(&path, Some(&plan("verified"))).await;
        self.refused(Cheat::ImportDone, &number, again)
    }

    /// The implementer tries to be measured by nothing.
    async fn drop_criteria(&self, task: &Task, implementer: &Client) -> Result<(), Error> {
        if !self.plan.has(&task.number, task.attempt, Cheat::OwnCriteria) {
            return Ok(());
        }
        let nothing = json!({"acceptance_criteria": []});
        let answer =
            implementer.write(Method::PATCH, &self.team.path(&task.number, ""), Some(&nothing)).await;
        self.refused(Cheat::OwnCriteria, &task.number, answer)
    }

    /// A person adds a criterion to what was reviewed. That review does not count for it, and another one does.
    async fn move_criteria(&self, task: &Task, review: Value) -> Result<(), Error> {
        if !self.plan.has(&task.number, task.attempt, Cheat::VerifyChanged) {
            return Ok(());
        }
        let (user, number) = (&self.team.user, task.number.as_str());
        let path = self.team.path(number, "");
        let mut criteria = user.get(&path, &[]).await?["story"]["acceptance_criteria"].take();
        if let Some(criteria) = criteria.as_array_mut() {
            criteria.push(json!({"criterion": format!("It has been tried by hand ({})", task.attempt)}));
        }
        user.write(Method::PATCH, &path, Some(&json!({"acceptance_criteria": criteria}))).await?;
        self.cheat(Cheat::VerifyChanged, &self.team.orchestrator, task, Step::Verify, Some(verdict()))
            .await?;
        self.step(&self.team.reviewer, number, Step::Review, Some(review)).await?;
        Ok(())
    }

    /// Somebody wants a dependent of the story in work, and is told to wait.
    async fn covet(&self, task: &Task, who: &Client) -> Result<(), Error> {
        let Some(coveted) = self.plan.coveted(&task.number, task.attempt) else {
            return Ok(());
        };
        let orchestrator = &self.team.orchestrator;
        self.step(orchestrator, coveted, Step::Contract, None).await?;
        let claim = who.post(&self.team.path(coveted, Step::Claim.path()), None).await;
        self.refused(Cheat::ClaimBlocked, coveted, claim)?;
        self.step(orchestrator, coveted, Step::ForceUnclaim, None).await?;
        Ok(())
    }
}

/// An implementer: takes ready stories and hands them on for review.
async fn implement(shop: Arc<Shop>, me: usize, hand_on: UnboundedSender<Job>) -> Result<(), Error> {
    while let Some(task) = shop.board.next(&shop.team, shop.agent(me)).await? {
        let first = shop.acquire(me, &task).await?;
        let rival = shop.agent(shop.rival(first));
        shop.cheat(Cheat::ClaimTaken, rival, &task, Step::Claim, None).await?;
        shop.cheat(Cheat::StartTaken, rival, &task, Step::Start, None).await?;
        shop.step(shop.agent(first), &task.number, Step::Start, None).await?;
        let holder = match shop.plan.has_puppet(&task.number, task.attempt) {
            true => shop.take_over(first, &task.number).await?,
            false => first,
        };
        let agent = shop.agent(holder);
        shop.covet(&task, agent).await?;
        shop.launder(&task, agent).await?;
        let hours = shop.hours.get(&task.number).copied().unwrap_or(1.0);
        tokio::time::sleep(HOUR.mul_f64(hours.clamp(0.0, 20.0))).await;
        shop.step(agent, &task.number, Step::RequestReview, None).await?;
        shop.cheat(Cheat::SelfReport, agent, &task, Step::Report, None).await?;
        if hand_on.send(Job { task, holder, first }).is_err() {
            break; // The reviewer has failed, and says why.
        }
    }
    Ok(())
}

/// The reviewer: reports what others have built, and reviews it. Cheats that need this moment happen here.
async fn review(
    shop: Arc<Shop>,
    mut work: UnboundedReceiver<Job>,
    hand_on: UnboundedSender<Job>,
) -> Result<(), Error> {
    let (reviewer, orchestrator) = (&shop.team.reviewer, &shop.team.orchestrator);
    while let Some(job) = work.recv().await {
        let Job { task, holder, first } = &job;
        let found = hash(shop.seed, &["findings", &task.number, &task.attempt.to_string()]) % 4;
        let review = json!({
            "review_type": "enhanced", "findings_count": found, "fixes_count": found,
            "summary": "Read against every acceptance criterion.",
        });
        let (holder, first) = (&shop.team.implementers[*holder], &shop.team.implementers[*first]);
        let reviewed = || Some(review.clone());
        let verified = || Some(verdict());
        shop.cheat(Cheat::PuppetReport, &first.agent, task, Step::Report, None).await?;
        shop.step(reviewer, &task.number, Step::Report, None).await?;
        shop.cheat(Cheat::SelfReview, &holder.agent, task, Step::Review, reviewed()).await?;
        shop.cheat(Cheat::PuppetReview, &first.agent, task, Step::Review, reviewed()).await?;
        shop.cheat(Cheat::VerifyUnreviewed, orchestrator, task, Step::Verify, verified()).await?;
        shop.step(reviewer, &task.number, Step::Review, reviewed()).await?;
        shop.cheat(Cheat::AgentVerify, &holder.agent, task, Step::Verify, verified()).await?;
        shop.cheat(Cheat::SelfVerify, &holder.as_orchestrator, task, Step::Verify, verified()).await?;
        shop.cheat(Cheat::PuppetVerify, &first.as_orchestrator, task, Step::Verify, verified()).await?;
        shop.drop_criteria(task, &holder.as_orchestrator).await?;
        shop.move_criteria(task, review).await?;
        if hand_on.send(job).is_err() {
            break; // The orchestrator has failed, and says why.
        }
    }
    Ok(())
}

/// The orchestrator: verifies, or sends back with a reason.
async fn orchestrate(shop: Arc<Shop>, mut work: UnboundedReceiver<Job>) -> Result<(), Error> {
    let orchestrator = &shop.team.orchestrator;
    while let Some(Job { task, .. }) = work.recv().await {
        let number = task.number.as_str();
        if task.attempt < shop.plan.attempts(number) {
            let choice = hash(shop.seed, &["reason", number, &task.attempt.to_string()]);
            let reason = REASONS[usize::try_from(choice % REASONS.len() as u64).unwrap_or(0)];
            let body = json!({"reason": reason});
            shop.step(orchestrator, number, Step::Reject, Some(body)).await?;
            shop.board.rejected(number);
        } else {
            shop.step(orchestrator, number, Step::Verify, Some(verdict())).await?;
            shop.bar.set_position(shop.board.verified() as u64);
        }
    }
    Ok(())
}

fn verdict() -> Value {
    json!({"result": "pass", "review_type": "enhanced", "summary": "All acceptance criteria hold."})
}
