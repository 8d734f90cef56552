//! Adds what a request tells, each point once.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate};
use loopctl_core::cost::Total;
use loopctl_core::cost::measured::series::{self, Points};
use loopctl_core::cost::measured::{Source, Tool, Usage};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::batch::{Asked, Batch, Point, told};
use super::store::{
    ADD_MEASURED, MEASURED_HELD_STORY, MEASURED_PROJECTS, MEASURED_STORIES, NEAR_POINTS, NamedProject,
    NamedStory, NearPoint, TAKE_MEASURED_AGENT, numeric,
};
use super::wire::{Export, Outcome, Sent, Taken};
use crate::app::Identity;
use crate::db::{Params, column};
use crate::http::ApiResult;

/// What a sum is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    tool: Tool,
    session_id: String,
    source: Source,
    model_name: String,
    day: NaiveDate,
    story_id: Option<Uuid>,
    project_id: Option<Uuid>,
}

/// A point that has not been seen.
struct New {
    series: Uuid,
    begun_ns: i64,
    at_ns: i64,
    value: Option<Decimal>,
}

/// What is known where points belong, as the database found it.
struct Places {
    /// By the number of what was asked for: story and project.
    asked: Vec<Option<(Option<Uuid>, Option<Uuid>)>>,
    held: Option<(Uuid, Uuid)>,
}

/// What a request adds.
#[derive(Default)]
struct Sums {
    new: Vec<New>,
    sums: BTreeMap<Key, Usage>,
    refused: BTreeMap<&'static str, i64>,
}

/// Adds what a request tells of usage, and answers it.
///
/// # Errors
/// When the database fails; then nothing was added.
pub(super) async fn record<E: Export>(
    caller: &Identity,
    agent_id: Uuid,
    sent: &Sent<E>,
    batch: &Batch,
) -> ApiResult<Taken<E>> {
    let Batch { asked, points, .. } = batch;
    // Most of what is exported is not about usage.
    if points.is_empty() && !caller.may_repeat() {
        return Ok(Taken::of(sent.encoding, &outcome(batch, &Places::nowhere(), &BTreeMap::new())));
    }
    let [story_ids, project_ids] =
        [|a: &Asked| a.story_id, |a: &Asked| a.project_id].map(|of| column(asked, of));
    let (slugs, numbers) = (column(asked, |a| a.slug.as_deref()), column(asked, |a| a.number.as_deref()));
    // Of whoever names no story.
    let alone = |of: fn(&Asked) -> Option<Uuid>| column(asked, |a| of(a).filter(|_| names_project(a)));
    let alone_ids = alone(|a| a.project_id);
    let alone_slugs = column(asked, |a| a.slug.as_deref().filter(|_| names_project(a)));
    let (series, begun, at) =
        (column(points, |p| p.series), column(points, |p| p.begun_ns), column(points, |p| p.at_ns));
    caller
        .change(async |mut change| {
            let params: [Params<'_>; 5] = [
                &[&agent_id],
                &[&story_ids, &project_ids, &slugs, &numbers],
                &[&alone_ids, &alone_slugs],
                &[&agent_id],
                &[&series, &begun, &at],
            ];
            let (_, stories, projects, held, near) = change
                .batch((
                    TAKE_MEASURED_AGENT.with(params[0]),
                    MEASURED_STORIES.with(params[1]),
                    MEASURED_PROJECTS.with(params[2]),
                    MEASURED_HELD_STORY.with(params[3]),
                    NEAR_POINTS.with(params[4]),
                ))
                .await?;
            let places = Places::of(asked, &stories, &projects, held.first());
            let sums = Sums::of(batch, &places, near);
            let answer = Taken::of(sent.encoding, &outcome(batch, &places, &sums.refused));
            if sums.new.is_empty() {
                return change.unchanged(answer).await;
            }
            let Sums { new, sums, .. } = &sums;
            let rows: Vec<_> = sums.iter().collect();
            let of = |total: fn(&Usage) -> Total| -> Vec<Option<Decimal>> {
                column(&rows, |(_, usage)| numeric(total(usage)))
            };
            let params: Params<'_> = &[
                &agent_id,
                &column(new, |n| n.series),
                &column(new, |n| n.begun_ns),
                &column(new, |n| n.at_ns),
                &column(new, |n| n.value),
                &column(&rows, |(key, _)| key.tool.as_str()),
                &column(&rows, |(key, _)| key.session_id.as_str()),
                &column(&rows, |(key, _)| key.source.as_str()),
                &column(&rows, |(key, _)| key.model_name.as_str()),
                &column(&rows, |(key, _)| key.day),
                &column(&rows, |(key, _)| key.story_id),
                &column(&rows, |(key, _)| key.project_id),
                &of(|usage| usage.input_tokens),
                &of(|usage| usage.output_tokens),
                &of(|usage| usage.cache_read_tokens),
                &of(|usage| usage.cache_creation_tokens),
                &of(|usage| usage.cost_picodollars),
                &column(&rows, |(_, usage)| usage.token_points),
                &column(&rows, |(_, usage)| usage.cost_points),
            ];
            change.commit_untold(ADD_MEASURED.with(params), answer).await
        })
        .await
}

fn names_project(asked: &Asked) -> bool {
    asked.story_id.is_none() && asked.number.is_none()
}

/// What an exporter is told.
fn outcome(batch: &Batch, places: &Places, refused: &BTreeMap<&'static str, i64>) -> Outcome {
    let mut all = batch.refused.clone();
    for (reason, count) in refused {
        *all.entry(reason).or_default() += count;
    }
    let mut message = told(&all);
    if places.asked.contains(&None) {
        let before = if message.is_empty() { "" } else { "; " };
        message.push_str(before);
        message.push_str("a resource names a story or a project that this tenant does not have: what is of it counts for the agent alone");
    }
    Outcome { rejected: all.values().sum(), message }
}

impl Places {
    /// Where nothing is asked for, and nothing is held.
    fn nowhere() -> Self {
        Self { asked: Vec::new(), held: None }
    }

    fn of(
        asked: &[Asked],
        stories: &[NamedStory],
        projects: &[NamedProject],
        held: Option<&NamedStory>,
    ) -> Self {
        let held = held.map(|held| (held.story_id, held.project_id));
        let mut found = vec![None; asked.len()];
        let mut put = |nth: i64, place| {
            let at = usize::try_from(nth).ok().and_then(|nth| nth.checked_sub(1));
            if let Some(entry) = at.and_then(|at| found.get_mut(at)) {
                *entry = Some(place);
            }
        };
        for project in projects {
            // Who names a project alone works on what the agent holds there.
            let story = held.filter(|(_, of)| *of == project.project_id).map(|(story, _)| story);
            put(project.nth, (story, Some(project.project_id)));
        }
        for story in stories {
            put(story.nth, (Some(story.story_id), Some(story.project_id)));
        }
        Self { asked: found, held }
    }

    /// Story and project of a point.
    fn of_point(&self, point: &Point) -> (Option<Uuid>, Option<Uuid>) {
        match point.place {
            None => self.held.map_or((None, None), |(story, project)| (Some(story), Some(project))),
            Some(nth) => self.asked.get(nth).copied().flatten().unwrap_or_default(),
        }
    }
}

impl Sums {
    /// What is new of a batch, given the points that are known near its own.
    fn of(batch: &Batch, places: &Places, near: Vec<NearPoint>) -> Self {
        let mut known: HashMap<(Uuid, i64), Points> = HashMap::new();
        for NearPoint { series, begun_ns, at_ns, value } in near {
            known.entry((series, begun_ns)).or_default().insert(at_ns, value.unwrap_or_default());
        }
        let mut sums = Self::default();
        for point in &batch.points {
            sums.add(batch, places, point, known.entry((point.series, point.begun_ns)).or_default());
        }
        sums
    }

    fn add(&mut self, batch: &Batch, places: &Places, point: &Point, known: &mut Points) {
        if known.contains_key(&point.at_ns) {
            return;
        }
        // What came before may have counted, and been forgotten.
        if point.is_total && known.is_empty() && point.begun_ns < batch.horizon_ns() {
            let reason = "it began more than a week ago, and it is not known what it told since";
            *self.refused.entry(reason).or_default() += 1;
            return;
        }
        let value = point.figures.first().filter(|_| point.is_total).map(|(_, total)| *total);
        let more = series::add(known, point.at_ns, value.unwrap_or_default());
        let usage = match (value, point.figures.first()) {
            (Some(_), Some((figure, _))) => Usage::of_point(&[(*figure, more)]),
            _ => Usage::of_point(&point.figures),
        };
        let (story_id, project_id) = places.of_point(point);
        let key = Key {
            tool: point.tool,
            session_id: point.session_id.clone(),
            source: point.source,
            model_name: point.model_name.clone(),
            day: DateTime::from_timestamp_nanos(point.at_ns).date_naive(),
            story_id,
            project_id,
        };
        *self.sums.entry(key).or_default() += usage;
        self.new.push(New {
            series: point.series,
            begun_ns: point.begun_ns,
            at_ns: point.at_ns,
            value: value.and_then(numeric),
        });
    }
}
