//! What stands for an id: a story's number, a project's slug, the one project that there is.

use serde_json::{Value, json};

use super::{Desk, fit, shape};
use crate::api::{Api, Call, KeyFor};
use crate::arguments::{Arguments, Wrong, canonical};
use crate::catalogue::{Run, Tool};

/// Rows of a page of a list that is looked through for a name.
const A_PAGE: usize = 100;
/// How many such pages.
const PAGES: usize = 10;

impl<A: Api> Desk<A> {
    /// The same arguments with ids in place of what stands for them: a story's number, a project's slug, nothing at all for the one
    /// project that there is.
    pub(super) async fn settled(
        &self,
        mut arguments: Arguments,
        tool: &Tool,
        takes_project: bool,
    ) -> Result<Arguments, Value> {
        let sent = arguments.text("project_id");
        let is_slug = sent.is_some_and(|named| canonical(named).is_none());
        // Where the project is a filter that nobody has asked for, none is looked for.
        let lacks_project = || {
            let wrong = [Err(Wrong::lacks("project_id")), Err(Wrong::no_id("project_id"))];
            matches!(tool.run, Run::Call(call) if wrong.contains(&call(&arguments, self.api.settings())))
        };
        if takes_project && (is_slug || (sent.is_none() && lacks_project())) {
            let project = self.project(&arguments).await?;
            arguments = arguments.with("project_id", project);
        }
        for name in ["story_id", "after"] {
            if let Some(story) = named(&arguments, name) {
                let id = self.story_of(story, &arguments).await?;
                arguments = arguments.with(name, id);
            }
        }
        if let Some(scope) = named(&arguments, "scope_id") {
            let id = self.scope(scope, &arguments).await?;
            arguments = arguments.with("scope_id", id);
        }
        Ok(arguments)
    }

    /// The story of a number.
    async fn story_of(&self, number: &str, arguments: &Arguments) -> Result<String, Value> {
        let project = self.project(arguments).await?;
        let call = Call::get(KeyFor::Agent, "/stories")
            .query("project_id", Some(project))
            .query("number", Some(number.to_owned()));
        let reply = self.api.call(call).await;
        if !reply.is_ok() {
            return Err(shape::refused(&reply, None));
        }
        let id = reply.body["data"][0]["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| shape::said(&format!("There is no story {number} in this project.")))
    }

    /// What a budget is for: a story by its number, an epic by its own, a project by its slug, an agent by its name.
    async fn scope(&self, named: &str, arguments: &Arguments) -> Result<String, Value> {
        let (path, is_it): (_, fn(&Value, &str) -> bool) = match arguments.text("scope_type") {
            Some("story") => return self.story_of(named, arguments).await,
            Some("project") => {
                return self.project(&Arguments::default().with("project_id", named)).await;
            }
            Some("epic") => {
                let project = self.project(arguments).await?;
                let is_it = |epic: &Value, named: &str| {
                    named.parse().is_ok_and(|number: i64| epic["number"] == number)
                };
                (format!("/projects/{project}/epics"), is_it)
            }
            _ => ("/agents".to_owned(), |agent, named| agent["name"] == named),
        };
        for page in 1..=PAGES {
            let call = Call::get(KeyFor::Orchestrator, path.as_str())
                .query("page_size", Some(A_PAGE.to_string()))
                .query("page", Some(page.to_string()));
            let reply = self.api.call(call).await;
            if !reply.is_ok() {
                return Err(shape::refused(&reply, None));
            }
            let rows = reply.body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(id) = rows.iter().find(|row| is_it(row, named)).and_then(|row| row["id"].as_str()) {
                return Ok(id.to_owned());
            }
            if rows.len() < A_PAGE {
                break;
            }
        }
        let kind = arguments.text("scope_type").unwrap_or("agent");
        Err(shape::said(&format!("There is no {kind} {}: send its id.", fit::begin(named, 100))))
    }

    /// The project that is named or configured.
    pub(super) fn named_project<'a>(&'a self, arguments: &'a Arguments) -> Option<&'a str> {
        arguments.text("project_id").or(self.api.settings().project.as_deref())
    }

    /// The project that is named, configured, or the only one.
    pub(super) async fn project(&self, arguments: &Arguments) -> Result<String, Value> {
        let named = self.named_project(arguments);
        if let Some(id) = named.filter(|named| canonical(named).is_some()) {
            return Ok(id.to_owned());
        }
        let looked_through = if named.is_some() { "100" } else { "20" };
        let call = Call::get(KeyFor::Agent, "/projects").query("page_size", Some(looked_through.to_owned()));
        let reply = self.api.call(call).await;
        if !reply.is_ok() {
            return Err(shape::refused(&reply, None));
        }
        let projects = reply.body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(slug) = named {
            let project = projects.iter().find(|project| project["slug"] == slug);
            return project.and_then(|project| project["id"].as_str()).map(str::to_owned).ok_or_else(|| {
                shape::said(&format!(
                    "There is no project {}: send its id or its slug.",
                    fit::begin(slug, 100)
                ))
            });
        }
        match projects {
            [one] => Ok(one["id"].as_str().unwrap_or_default().to_owned()),
            [] => Err(shape::said("There is no project yet.")),
            several => {
                let named = |project: &Value| json!({"project_id": project["id"], "name": project["name"]});
                let mut said = shape::said("There are several projects: send project_id.");
                said["projects"] = several.iter().map(named).collect();
                Err(said)
            }
        }
    }
}

/// An argument that is there and no id.
fn named<'a>(arguments: &'a Arguments, name: &str) -> Option<&'a str> {
    arguments.text(name).filter(|text| canonical(text).is_none())
}
