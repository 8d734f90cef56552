//! What answers of the server say of the board.

use std::collections::{HashMap, HashSet};

use chrono::SecondsFormat;
use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Board, Budget, MOST_BUDGETS, MOST_PROJECTS, MOST_STORIES, Project, Story, id, moment, text, word,
};
use crate::output::rows_of;

/// The part of a project that is at work, and in which lists it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Agent(AgentStatus),
    /// Reported, and nobody has said what was found.
    Unjudged,
    Rejected,
}

impl Part {
    /// As filters of a list of stories.
    pub(crate) fn filters(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Agent(status) => vec![("agent_status", status.as_str())],
            Self::Unjudged => vec![
                ("agent_status", AgentStatus::ReportedDone.as_str()),
                ("verified_status", VerifiedStatus::Unverified.as_str()),
            ],
            Self::Rejected => vec![("verified_status", VerifiedStatus::Rejected.as_str())],
        }
    }
}

/// What was read. `asked` is how many changes the board had taken in when it was asked for: what has happened since is not
/// unsaid by it.
#[derive(Debug)]
pub(crate) enum Answer {
    Tenant(Value),
    /// All active ones, or the one that was asked for.
    Projects(Vec<Value>),
    Plan {
        project: Uuid,
        graph: Value,
        asked: u64,
    },
    /// A page of stories that are at work.
    Stories {
        rows: Value,
        asked: u64,
    },
    /// A page of reviews, from the log.
    Reviews(Value),
    /// What has happened before, oldest first.
    Earlier(Vec<Value>),
    Agents(Value),
    /// All that are there.
    Budgets(Vec<Value>),
    Violations(Value),
}

impl Board {
    pub(crate) fn take(&mut self, answer: &Answer) {
        match answer {
            Answer::Tenant(body) => {
                self.tenant.name = word(&body["tenant"]["name"]);
                self.tenant.halted_at = moment(&body["tenant"]["custody_halted_at"]);
            }
            Answer::Projects(rows) => self.take_projects(rows),
            Answer::Plan { project, graph, asked } => self.take_plan(*project, &graph["graph"], *asked),
            Answer::Stories { rows, asked } => {
                for row in rows_of(rows) {
                    self.take_story(row, *asked);
                }
            }
            Answer::Reviews(body) => {
                for row in rows_of(body) {
                    let story = id(&row["entity_id"]).and_then(|id| self.stories.get_mut(&id));
                    if let Some(story) = story {
                        story.reviewed_at = story.reviewed_at.max(moment(&row["inserted_at"]));
                    }
                }
            }
            Answer::Earlier(changes) => self.note_earlier(changes),
            Answer::Agents(body) => {
                for row in rows_of(body) {
                    if let (Some(id), Some(name)) = (id(&row["id"]), row["name"].as_str()) {
                        self.is_called(id, name);
                    }
                }
            }
            Answer::Budgets(rows) => {
                let budgets = rows.iter().filter_map(|row| self.used_up(row)).take(MOST_BUDGETS);
                self.budgets = budgets.collect();
            }
            Answer::Violations(body) => {
                self.violations = body["meta"]["total_count"].as_u64().unwrap_or_default();
            }
        }
    }

    fn take_projects(&mut self, rows: &[Value]) {
        let mut known = std::mem::take(&mut self.projects);
        for (place, row) in rows.iter().take(MOST_PROJECTS).enumerate() {
            let Some(id) = id(&row["id"]) else { continue };
            let project =
                Project { place, name: word(&row["slug"]), ..known.remove(&id).unwrap_or_default() };
            self.projects.insert(id, project);
        }
        let projects = &self.projects;
        self.stories.retain(|_, story| projects.contains_key(&story.project));
    }

    /// The plan of a project: which stories there are, how they stand, and what waits for what.
    fn take_plan(&mut self, project_id: Uuid, graph: &Value, asked: u64) {
        let edges = |key: &str| -> Vec<(Uuid, Uuid)> {
            let edges = graph[key].as_array().into_iter().flatten();
            edges.filter_map(|edge| Some((id(&edge["from"])?, id(&edge["to"])?))).collect()
        };
        let Some(project) = self.projects.get_mut(&project_id) else { return };
        (project.epic_edges, project.story_edges) = (edges("epic_dependencies"), edges("story_dependencies"));
        project.is_read = true;
        project.epics = HashMap::new();
        let (mut there, mut left_out, mut place) = (HashSet::new(), 0, 0);
        for epic in graph["epics"].as_array().into_iter().flatten() {
            let Some(epic_id) = id(&epic["id"]) else { continue };
            let name = format!("{} {}", epic["number"], word(&epic["title"]));
            project.epics.insert(epic_id, text(&name));
            for row in epic["stories"].as_array().into_iter().flatten() {
                let Some(story_id) = id(&row["id"]) else { continue };
                place += 1;
                there.insert(story_id);
                if self.stories.len() >= MOST_STORIES && !self.stories.contains_key(&story_id) {
                    left_out += 1;
                    continue;
                }
                let story = self.stories.entry(story_id).or_insert_with(|| Story::new(project_id, epic_id));
                (story.epic, story.place) = (epic_id, place);
                (story.number, story.title) = (word(&row["number"]), word(&row["title"]));
                if story.touched <= asked {
                    story.stands_at(row);
                }
            }
        }
        self.left_out = left_out;
        // What has come since it was asked for is not in it.
        self.stories
            .retain(|id, story| story.project != project_id || there.contains(id) || story.touched > asked);
    }

    /// Who has a story, and since when.
    fn take_story(&mut self, row: &Value, asked: u64) {
        let story = id(&row["id"]).and_then(|id| self.stories.get_mut(&id));
        let Some(story) = story.filter(|story| story.touched <= asked) else { return };
        story.stands_at(row);
        let contracted = story.agent_status == AgentStatus::Contracted;
        story.holder = id(&row["assigned_agent_id"])
            .or_else(|| id(&row["contracted_by_agent_id"]).filter(|_| contracted));
        // When it was contracted is not told; nothing has happened to it since.
        let since = if contracted { &row["updated_at"] } else { &row["assigned_at"] };
        story.held_since = moment(since);
        story.finished_at = moment(&row["review_requested_at"]);
        story.reported_at = moment(&row["reported_done_at"]);
        story.rejected_at = moment(&row["rejected_at"]);
        story.reason = row["rejection_reason"].as_str().map(text);
    }

    /// A budget of which all is used.
    fn used_up(&self, row: &Value) -> Option<Budget> {
        let percent = ["utilization_pct", "token_utilization_pct"].map(|key| row[key].as_u64().unwrap_or(0));
        let percent = percent.into_iter().max().filter(|percent| *percent >= 100)?;
        let scope = row["scope_type"].as_str().unwrap_or_default();
        let top = &row["top_target"];
        // Of what each has for itself, by the one that uses it most.
        let (kind, of) = match id(&top["id"]) {
            Some(of) => (top["type"].as_str().unwrap_or_default(), of),
            None => (scope, id(&row["scope_id"])?),
        };
        let project = scope.starts_with("per_").then(|| id(&row["scope_id"])).flatten();
        let project = project.or_else(|| match kind {
            "project" => Some(of),
            "epic" => {
                self.projects.iter().find(|(_, project)| project.epics.contains_key(&of)).map(|(id, _)| *id)
            }
            _ => None,
        });
        let of_project = |id: &Uuid| self.projects.get(id).map(|project| project.name.clone());
        let name = match kind {
            "story" => self.stories.get(&of).map(|story| format!("story {}", self.number(story))),
            "agent" => Some(format!("agent {}", self.agent(Some(of)))),
            "project" => of_project(&of).map(|name| format!("project {name}")),
            "epic" => {
                let epics = self.projects.values().find_map(|project| project.epics.get(&of));
                epics.map(|name| format!("epic {name}"))
            }
            _ => None,
        };
        // One of something that is not shown is not shown either.
        let (of_text, story) = (name?, (kind == "story").then_some(of));
        Some(Budget { of: of_text, story, project, percent, blocks: row["enforcement"] == "block" })
    }
}

/// Which parts of a project are at work, by its plan.
pub(crate) fn parts(graph: &Value) -> Vec<Part> {
    use AgentStatus::{Assigned, Contracted, Implementing, ReportedDone};
    let epics = graph["graph"]["epics"].as_array().into_iter().flatten();
    let stories = epics.flat_map(|epic| epic["stories"].as_array().into_iter().flatten());
    let there: HashSet<_> =
        stories.map(|story| (story["agent_status"].as_str(), story["verified_status"].as_str())).collect();
    let any = |agent: Option<AgentStatus>, verified: Option<VerifiedStatus>| {
        there.iter().any(|(is, found)| {
            agent.is_none_or(|agent| *is == Some(agent.as_str()))
                && verified.is_none_or(|verified| *found == Some(verified.as_str()))
        })
    };
    let held = [Contracted, Assigned, Implementing].into_iter().filter(|status| any(Some(*status), None));
    let unjudged = any(Some(ReportedDone), Some(VerifiedStatus::Unverified)).then_some(Part::Unjudged);
    let rejected = any(None, Some(VerifiedStatus::Rejected)).then_some(Part::Rejected);
    held.map(Part::Agent).chain(unjudged).chain(rejected).collect()
}

/// Since when there may be reviews of these stories that count; None: of none of them.
pub(crate) fn first_report(stories: &Value) -> Option<String> {
    let reported = rows_of(stories).iter().filter_map(|row| moment(&row["reported_done_at"]));
    reported.min().map(|moment| moment.to_rfc3339_opts(SecondsFormat::Micros, true))
}

impl Story {
    fn new(project: Uuid, epic: Uuid) -> Self {
        Self {
            project,
            epic,
            place: 0,
            number: String::new(),
            title: String::new(),
            agent_status: AgentStatus::Pending,
            verified_status: VerifiedStatus::Unverified,
            holder: None,
            held_since: None,
            finished_at: None,
            reported_at: None,
            reviewed_at: None,
            rejected_at: None,
            reason: None,
            touched: 0,
        }
    }

    /// As an answer has it.
    fn stands_at(&mut self, row: &Value) {
        let agent = row["agent_status"].as_str().and_then(AgentStatus::parse);
        let verified = row["verified_status"].as_str().and_then(VerifiedStatus::parse);
        if let Some(status) = agent.filter(|status| *status != self.agent_status) {
            self.agent_status = status;
            if status == AgentStatus::Pending {
                (self.holder, self.held_since) = (None, None);
            }
        }
        if let Some(status) = verified {
            self.verified_status = status;
        }
    }
}
