//! What is asked of the server: one request after the other, at a pace that leaves the server and the key's limit to others, and none
//! a second time before something says that the answer is another one.

use std::cell::{Cell, RefCell};

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::model::{Answer, MOST_PROJECTS, Part, first_report, parts};
use super::opened::Opened;
use super::pace::{Job, Pace, Wanted};
use crate::client::Client;
use crate::error::Error;
use crate::output::rows_of;

/// Pages that are read of a list of stories at work, of agents, of budgets, and of reviews.
const MOST_PAGES: usize = 20;
/// What has happened in so many minutes before is read, and not where that is more than so many pages.
const EARLIER: i64 = 15;
const MOST_EARLIER: usize = 3;

/// What has become of a job.
pub(super) enum Told {
    Answer(Answer),
    /// A story that somebody looks at.
    Opened(Box<Opened>),
    /// There is no such story, or it may not be seen.
    Closed(Uuid, String),
    /// Something could not be read, and is tried again.
    Late(String),
    /// Something cannot be read.
    Failed(String),
    /// A job was done.
    Done,
}

/// What is wanted of the reader, by whoever shows it.
#[derive(Debug)]
pub(super) struct Wishes {
    wanted: RefCell<Wanted>,
    more: Notify,
    began: Instant,
    is_reading: Cell<bool>,
    /// How many changes the board has taken in.
    pub(super) taken: Cell<u64>,
}

impl Wishes {
    pub(super) fn new() -> Self {
        Self {
            wanted: RefCell::default(),
            more: Notify::new(),
            began: Instant::now(),
            is_reading: Cell::default(),
            taken: Cell::default(),
        }
    }

    pub(super) fn want(&self, job: Job) {
        self.wanted.borrow_mut().want(job, self.began.elapsed());
        self.more.notify_one();
    }

    /// Nobody looks at a story any more.
    pub(super) fn forget_stories(&self) {
        self.wanted.borrow_mut().forget_stories();
    }

    /// How much is still to be read.
    pub(super) fn len(&self) -> usize {
        self.wanted.borrow().len() + usize::from(self.is_reading.get())
    }
}

/// Who asks, and of what.
pub(super) struct Reader<'a> {
    pub(super) client: &'a Client,
    /// The only one that is shown.
    pub(super) project: Option<String>,
    pub(super) tenant_id: String,
    pub(super) role: String,
    pub(super) wishes: &'a Wishes,
    pub(super) told: Sender<Told>,
}

/// Whoever shows it has gone.
const GONE: &str = "Nobody shows the board any more";

impl Reader<'_> {
    /// Does what is wanted, until it is refused for good.
    pub(super) async fn run(self) -> Result<(), Error> {
        let mut pace = Pace::default();
        loop {
            let next = self.wishes.wanted.borrow_mut().take(self.wishes.began.elapsed());
            let job = match next {
                Ok(job) => job,
                Err(None) => {
                    self.wishes.more.notified().await;
                    continue;
                }
                Err(Some(at)) => {
                    tokio::select! {
                        () = self.wishes.more.notified() => {}
                        () = sleep_until(self.wishes.began + at) => {}
                    }
                    continue;
                }
            };
            self.wishes.is_reading.set(true);
            match self.read(job, &mut pace).await {
                Ok(()) => {}
                Err(error) if ends_all(&error) => return Err(error),
                Err(error) if is_lasting(&error) => {
                    let why = error.to_line();
                    self.tell(match job {
                        Job::Story(story) => Told::Closed(story, why),
                        _ => Told::Failed(why),
                    })
                    .await?;
                }
                Err(error) => {
                    let now = self.wishes.began.elapsed();
                    pace.refused(now, error.retry_after());
                    self.wishes.wanted.borrow_mut().put_back(job, now);
                    self.tell(Told::Late(error.to_line())).await?;
                }
            }
            self.wishes.is_reading.set(false);
            self.tell(Told::Done).await?;
        }
    }

    async fn tell(&self, told: Told) -> Result<(), Error> {
        self.told.send(told).await.map_err(|_| Error::Undone(GONE.to_owned()))
    }

    async fn answer(&self, answer: Answer) -> Result<(), Error> {
        self.tell(Told::Answer(answer)).await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)], pace: &mut Pace) -> Result<Value, Error> {
        let wait = pace.book(self.wishes.began.elapsed());
        if !wait.is_zero() {
            sleep(wait).await;
        }
        self.client.get_quietly(path, query).await
    }

    async fn read(&self, job: Job, pace: &mut Pace) -> Result<(), Error> {
        match job {
            Job::Story(story) => self.story(story, pace).await,
            Job::Tenant => {
                let body = self.get("/tenants/me", &[], pace).await?;
                self.answer(Answer::Tenant(body)).await
            }
            Job::Projects => self.projects(pace).await,
            Job::Project(project) => self.project(project, pace).await,
            Job::Plan(project) => self.plan(project, pace).await.map(drop),
            Job::Agents if self.role == "agent" => Ok(()),
            Job::Agents => self.pages("/agents", pace, Answer::Agents).await,
            Job::Budgets => {
                let mut budgets = Vec::new();
                self.each_page("/token-budgets", pace, |mut page| {
                    if let Value::Array(rows) = page["data"].take() {
                        budgets.extend(rows);
                    }
                })
                .await?;
                self.answer(Answer::Budgets(budgets)).await
            }
            Job::Violations if self.role != "superadmin" => Ok(()),
            Job::Violations => {
                let query = [("tenant_id", self.tenant_id.as_str()), ("status", "pending"), ("limit", "1")];
                let body = self.get("/admin/violators", &query, pace).await?;
                self.answer(Answer::Violations(body)).await
            }
            Job::Earlier => self.earlier(pace).await,
        }
    }

    async fn earlier(&self, pace: &mut Pace) -> Result<(), Error> {
        let since = Utc::now() - TimeDelta::minutes(EARLIER);
        let mut since = since.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut changes = Vec::new();
        for _ in 0..MOST_EARLIER {
            let mut query = vec![("since", since.as_str())];
            query.extend(self.project.as_deref().map(|project| ("project_id", project)));
            let mut body = self.get("/changes", &query, pace).await?;
            if let Value::Array(rows) = body["data"].take() {
                changes.extend(rows);
            }
            match body["next_since"].as_str() {
                Some(next) => since = next.to_owned(),
                None => return self.answer(Answer::Earlier(changes)).await,
            }
        }
        // So much happens that what comes now fills the panel in a moment.
        Ok(())
    }

    async fn projects(&self, pace: &mut Pace) -> Result<(), Error> {
        let rows = match &self.project {
            Some(project) => {
                let mut body = self.get(&format!("/projects/{project}"), &[], pace).await?;
                vec![body["project"].take()]
            }
            None => {
                let most = MOST_PROJECTS.to_string();
                let query = [("status", "active"), ("page_size", most.as_str())];
                rows_of(&self.get("/projects", &query, pace).await?).to_vec()
            }
        };
        self.answer(Answer::Projects(rows)).await
    }

    /// The plan of a project, and how many changes the board knew before.
    async fn plan(&self, project: Uuid, pace: &mut Pace) -> Result<Vec<Part>, Error> {
        let asked = self.wishes.taken.get();
        let graph = self.get(&format!("/projects/{project}/dependency_graph"), &[], pace).await?;
        let parts = parts(&graph);
        self.answer(Answer::Plan { project, graph, asked }).await?;
        Ok(parts)
    }

    /// The plan, who has what of it, and what of it was reviewed.
    async fn project(&self, project: Uuid, pace: &mut Pace) -> Result<(), Error> {
        let parts = self.plan(project, pace).await?;
        let id = project.to_string();
        let mut first = None;
        for part in parts {
            let mut offset = 0;
            for _ in 0..MOST_PAGES {
                let (at, asked) = (offset.to_string(), self.wishes.taken.get());
                let mut query = vec![("project_id", id.as_str()), ("limit", "500"), ("offset", at.as_str())];
                query.extend(part.filters());
                let rows = self.get("/stories", &query, pace).await?;
                let here = rows_of(&rows).len();
                offset += here;
                let is_last =
                    here == 0 || rows["meta"]["total_count"].as_u64().is_none_or(|all| offset as u64 >= all);
                if part == Part::Unjudged {
                    first = [first, first_report(&rows)].into_iter().flatten().min();
                }
                self.answer(Answer::Stories { rows, asked }).await?;
                if is_last {
                    break;
                }
            }
        }
        match first {
            Some(since) => self.reviews(&id, since, pace).await,
            None => Ok(()),
        }
    }

    /// The reviews of a project since then, out of the log: of a story it is only told whether somebody may verify it, and that
    /// not to everybody.
    async fn reviews(&self, project: &str, mut since: String, pace: &mut Pace) -> Result<(), Error> {
        for _ in 0..MOST_PAGES {
            let query = [
                ("project_id", project),
                ("entity_type", "story"),
                ("action", "review_completed"),
                ("since", since.as_str()),
            ];
            let body = self.get("/changes", &query, pace).await?;
            let next = body["next_since"].as_str().map(ToOwned::to_owned);
            self.answer(Answer::Reviews(body)).await?;
            match next {
                Some(next) => since = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn pages(&self, path: &str, pace: &mut Pace, answer: fn(Value) -> Answer) -> Result<(), Error> {
        let mut pages = Vec::new();
        self.each_page(path, pace, |page| pages.push(page)).await?;
        for page in pages {
            self.answer(answer(page)).await?;
        }
        Ok(())
    }

    async fn each_page(&self, path: &str, pace: &mut Pace, mut take: impl FnMut(Value)) -> Result<(), Error> {
        for page in 1..=MOST_PAGES {
            let number = page.to_string();
            let body = self.get(path, &[("page_size", "100"), ("page", number.as_str())], pace).await?;
            let pages = body["meta"]["total_pages"].as_u64().unwrap_or(1);
            take(body);
            if page as u64 >= pages {
                break;
            }
        }
        Ok(())
    }

    /// A story as it is looked at: its text, its criteria, and the end of its history.
    async fn story(&self, story: Uuid, pace: &mut Pace) -> Result<(), Error> {
        let path = format!("/stories/{story}");
        let body = self.get(&path, &[], pace).await?;
        let criteria = self.get(&format!("{path}/acceptance_criteria"), &[], pace).await?;
        let history = format!("{path}/history");
        let mut told = self.get(&history, &[("page_size", "100")], pace).await?;
        let pages = told["meta"]["total_pages"].as_u64().unwrap_or(1);
        if pages > 1 {
            let last = pages.to_string();
            told = self.get(&history, &[("page_size", "100"), ("page", last.as_str())], pace).await?;
        }
        self.tell(Told::Opened(Box::new(Opened::of(story, &body["story"], &criteria, &told)))).await
    }
}

/// Whether nothing else will be answered either.
fn ends_all(error: &Error) -> bool {
    match error {
        Error::Server(error) => error.status == 401,
        Error::Undone(_) => true,
        _ => false,
    }
}

/// Whether the same will be answered again.
fn is_lasting(error: &Error) -> bool {
    matches!(error, Error::Server(error) if (400..500).contains(&error.status) && error.status != 429)
}
