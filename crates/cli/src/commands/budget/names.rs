//! What the things that budgets are of are called.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::client::Client;
use crate::error::Error;
use crate::output::rows_of;
use crate::pages;
use crate::resolve::Found;
use crate::table::plain;

/// Names by id. What is not there is called by its id.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    /// Of the things of these budgets, from the lists that they are in; with `project`, only of what is in it, and of agents.
    pub(super) async fn of_list(
        client: &Client,
        budgets: &[Value],
        project: Option<&Found>,
    ) -> Result<Self, Error> {
        let mut names = Self::default();
        let mut wanted: HashMap<&str, HashSet<String>> = HashMap::new();
        for (kind, id) in budgets.iter().flat_map(things) {
            wanted.entry(kind).or_default().insert(id.to_owned());
        }
        let mut left = |kind| wanted.remove(kind).unwrap_or_default();
        let (agents, projects, mut stories, mut epics) =
            (left("agent"), left("project"), left("story"), left("epic"));
        if !agents.is_empty() {
            names.take("agent", &pages::by_page(client, "/agents", &[]).await?, &agents);
        }
        let among: Vec<(String, String)> = match project {
            Some(project) => vec![(project.id.clone(), project.label.clone())],
            None if projects.is_empty() && stories.is_empty() && epics.is_empty() => Vec::new(),
            None => {
                let body = pages::by_page(client, "/projects", &[("include_archived", "true")]).await?;
                let named = |row: &Value| (plain(&row["id"]), label("project", row));
                rows_of(&body).iter().map(named).collect()
            }
        };
        for (id, label) in among {
            if !stories.is_empty() {
                let of_project = [("project_id", id.as_str())];
                pages::each_of_stories(client, &of_project, |page| names.take("story", &page, &stories))
                    .await?;
                stories.retain(|id| !names.0.contains_key(id));
            }
            if !epics.is_empty() {
                let path = format!("/projects/{id}/epics");
                names.take("epic", &pages::by_page(client, &path, &[]).await?, &epics);
                epics.retain(|id| !names.0.contains_key(id));
            }
            names.0.insert(id, label);
        }
        Ok(names)
    }

    /// Of the things of one budget, as far as this key may see them.
    pub(super) async fn of_one(client: &Client, budget: &Value) -> Result<Self, Error> {
        let mut names = Self::default();
        for (kind, id) in things(budget) {
            let collection = if kind == "story" { "stories".to_owned() } else { format!("{kind}s") };
            match client.get(&format!("/{collection}/{id}"), &[]).await {
                Ok(body) => {
                    names.0.insert(id.to_owned(), label(kind, &body[kind]));
                }
                Err(Error::Server(error)) if matches!(error.status, 403 | 404) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }

    fn take(&mut self, kind: &str, body: &Value, wanted: &HashSet<String>) {
        let rows = rows_of(body).iter().map(|row| (plain(&row["id"]), label(kind, row)));
        self.0.extend(rows.filter(|(id, _)| wanted.contains(id)));
    }

    /// Whether a budget is of something that has a name here.
    pub(super) fn know(&self, budget: &Value) -> bool {
        budget["scope_id"].as_str().is_some_and(|id| self.0.contains_key(id))
    }

    /// `story 2.1`, `per_story of my-app`.
    pub(super) fn scope(&self, budget: &Value) -> String {
        let scope = plain(&budget["scope_type"]);
        let of = if scope.starts_with("per_") { " of" } else { "" };
        format!("{scope}{of} {}", self.name(&budget["scope_id"]))
    }

    /// Of what each of a project has by itself: the one that has used most of it.
    pub(super) fn top_target(&self, budget: &Value) -> Option<String> {
        let target = budget.get("top_target").filter(|target| target.is_object())?;
        Some(format!("{} {}", plain(&target["type"]), self.name(&target["id"])))
    }

    fn name(&self, id: &Value) -> String {
        let id = plain(id);
        self.0.get(&id).cloned().unwrap_or(id)
    }
}

/// What a budget is of, and what has used most of it: kind and id.
fn things(budget: &Value) -> impl Iterator<Item = (&str, &str)> {
    let scope = budget["scope_type"].as_str().map(|scope| match scope {
        "story" | "epic" | "agent" => scope,
        _ => "project",
    });
    let target = &budget["top_target"];
    [(scope, budget["scope_id"].as_str()), (target["type"].as_str(), target["id"].as_str())]
        .into_iter()
        .filter_map(|(kind, id)| kind.zip(id))
}

fn label(kind: &str, row: &Value) -> String {
    match kind {
        "story" => plain(&row["number"]),
        "epic" => format!("{} {}", plain(&row["number"]), plain(&row["title"])),
        "project" => plain(&row["slug"]),
        _ => plain(&row["name"]),
    }
}
