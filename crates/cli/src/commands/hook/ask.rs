//! What the server knows of the caller's stories.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::held::{Held, Step};
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::output::rows_of;
use crate::{output, resolve};

/// Without a configured project, so many are looked through.
const PROJECTS: usize = 10;

/// The stories that an agent can hold, by how they stand.
const FILTERS: [(&str, Option<&str>); 4] =
    [("contracted", None), ("assigned", None), ("implementing", None), ("reported_done", Some("rejected"))];

/// What waits for the caller's agent, and whether a number is enough to name it to the command line.
pub(super) struct Answer {
    pub(super) held: Vec<Held>,
    pub(super) named: bool,
}

/// Asks for what waits for the agent of the configured key, in the configured project or in all.
pub(super) async fn ask(context: &Context) -> Result<Answer, Error> {
    let client = Arc::new(context.client()?);
    let (me, project) =
        tokio::try_join!(client.get_once("/tenants/me", &[]), resolve::configured_project(context, &client))?;
    let named = project.is_some();
    let Some(me) = me["api_key"]["agent_id"].as_str().map(ToOwned::to_owned) else {
        return Ok(Answer { held: Vec::new(), named });
    };
    let projects = match project {
        Some(project) => vec![project.id],
        None => active_projects(&client).await?,
    };
    let held = each(&projects, |project| {
        let (client, me) = (Arc::clone(&client), me.clone());
        async move { held_in(&client, &project, &me).await }
    });
    Ok(Answer { held: held.await?, named: named || projects.len() == 1 })
}

async fn active_projects(client: &Client) -> Result<Vec<String>, Error> {
    let size = PROJECTS.to_string();
    let body = client.get_once("/projects", &[("status", "active"), ("page_size", &size)]).await?;
    let total = body["meta"]["total_count"].as_u64().unwrap_or(0);
    if total > PROJECTS as u64 {
        output::note(&format!(
            "loopctl hook: looks through {PROJECTS} of {total} projects; set LOOPCTL_PROJECT to the one it is about"
        ));
    }
    Ok(rows_of(&body).iter().filter_map(|row| row["id"].as_str()).map(ToOwned::to_owned).collect())
}

async fn held_in(client: &Arc<Client>, project: &str, me: &str) -> Result<Vec<Held>, Error> {
    let mut held = each(&FILTERS, |(agent, verified)| {
        let (client, project, me) = (Arc::clone(client), project.to_owned(), me.to_owned());
        async move {
            let mut query = vec![("project_id", project.as_str()), ("agent_status", agent), ("limit", "500")];
            query.extend(verified.map(|verified| ("verified_status", verified)));
            let body = client.get_once("/stories", &query).await?;
            Ok(rows_of(&body).iter().filter_map(|story| Held::of(story, &me)).collect())
        }
    })
    .await?;
    if held.iter().any(|held| held.step == Step::Claim) {
        let blocked =
            client.get_once("/stories/blocked", &[("project_id", project), ("limit", "500")]).await?;
        let blocked: HashSet<&str> =
            rows_of(&blocked).iter().filter_map(|item| item["story"]["id"].as_str()).collect();
        // It waits for others to be done with theirs.
        held.retain(|held| held.step != Step::Claim || !blocked.contains(held.id.as_str()));
    }
    Ok(held)
}

/// Asks all at once, and puts the answers together in the order of the questions.
async fn each<T, Q, F>(questions: &[Q], ask: impl Fn(Q) -> F) -> Result<Vec<T>, Error>
where
    T: Send + 'static,
    Q: Clone,
    F: Future<Output = Result<Vec<T>, Error>> + Send + 'static,
{
    let mut asked = JoinSet::new();
    for (place, question) in questions.iter().cloned().enumerate() {
        let answer = ask(question);
        asked.spawn(async move { Ok::<_, Error>((place, answer.await?)) });
    }
    let mut answers = Vec::new();
    while let Some(answer) = asked.join_next().await {
        answers.push(answer.map_err(|error| Error::Other(error.to_string()))??);
    }
    answers.sort_by_key(|(place, _)| *place);
    Ok(answers.into_iter().flat_map(|(_, answer)| answer).collect())
}
