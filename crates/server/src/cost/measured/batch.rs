//! What a request tells of usage: points, of which resource each is, and what was refused.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use loopctl_core::cost::Total;
use loopctl_core::cost::measured::exact::Sent;
use loopctl_core::cost::measured::{Figure, Source, Tool};
use loopctl_core::fields::parse_uuid;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The most points that are taken from one request.
const MOST_POINTS: usize = 2_000;

/// For how long points are taken after their time: for as long as it is known which were. A day less than they are kept.
const DAYS: i64 = 7;

/// How far a clock may be ahead of ours.
const AHEAD_HOURS: i64 = 24;

/// The most characters of a session and of a model.
const NAME: usize = 255;

const HOUR: i64 = 3_600_000_000_000;

/// Where a resource says that its work belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// `loopctl.story_id`. The nil UUID, which no story has, where it is no id.
    pub(super) story_id: Option<Uuid>,
    /// `loopctl.project`, where it is an id.
    pub(super) project_id: Option<Uuid>,
    /// And where it is a slug.
    pub(super) slug: Option<String>,
    /// `loopctl.story_number`.
    pub(super) number: Option<String>,
}

/// A point, or an event, that tells of usage.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) tool: Tool,
    pub(super) source: Source,
    /// Empty where none is named.
    pub(super) session_id: String,
    pub(super) model_name: String,
    pub(super) figures: Vec<(Figure, Total)>,
    /// What it is known by, with its times.
    pub(super) series: Uuid,
    /// Nanoseconds; 0 where it does not say.
    pub(super) begun_ns: i64,
    pub(super) at_ns: i64,
    /// Whether it tells of all since the beginning, and not only of what came since the last one.
    pub(super) is_total: bool,
    /// Which of the places that are asked for.
    pub(super) place: Option<usize>,
}

/// All points of a request.
#[derive(Debug)]
pub(super) struct Batch {
    agent_id: Uuid,
    /// The earliest and the latest time that is taken.
    window: (i64, i64),
    pub(super) asked: Vec<Asked>,
    places: HashMap<Asked, usize>,
    pub(super) points: Vec<Point>,
    /// How many were refused, by reason.
    pub(super) refused: BTreeMap<&'static str, i64>,
}

/// What points have in common that are of one resource. It is looked at once: it may be long, and the points many.
pub(super) struct Origin {
    asked: Option<Asked>,
    session_id: Option<String>,
    pub(super) service: String,
    digest: [u8; 32],
}

impl Origin {
    pub(super) fn of(resource: Option<&Resource>) -> Self {
        let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
        Self {
            asked: Some(asked(attributes)).filter(|asked| *asked != Asked::default()),
            session_id: session_of(attributes),
            service: text_of(attributes, "service.name").unwrap_or_default(),
            digest: digest(&[&canonical(attributes)]),
        }
    }

    /// The same, of a scope within it.
    pub(super) fn within(&self, scope: Option<&InstrumentationScope>) -> [u8; 32] {
        let Some(scope) = scope else { return self.digest };
        let (name, version) = (scope.name.as_bytes(), scope.version.as_bytes());
        digest(&[&self.digest, name, version, &canonical(&scope.attributes)])
    }

    /// The session of a point: as it says itself, or its resource.
    pub(super) fn session_of(&self, attributes: &[KeyValue]) -> String {
        session_of(attributes).or_else(|| self.session_id.clone()).unwrap_or_default()
    }
}

impl Batch {
    /// An empty one, of an agent, at a time in nanoseconds.
    pub(super) fn new(agent_id: Uuid, now_ns: i64) -> Self {
        let window = (now_ns.saturating_sub(DAYS * 24 * HOUR), now_ns.saturating_add(AHEAD_HOURS * HOUR));
        Self {
            agent_id,
            window,
            asked: Vec::new(),
            places: HashMap::new(),
            points: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Before this nothing is known any more.
    pub(super) fn horizon_ns(&self) -> i64 {
        self.window.0
    }

    /// Takes a point, or says why not.
    pub(super) fn take(&mut self, origin: &Origin, read: Result<Point, &'static str>) {
        let full = self.points.len() >= MOST_POINTS;
        let checked = read.and_then(|point| match self.fault(&point) {
            Some(reason) => Err(reason),
            None if full => Err("a request may tell of 2,000 points"),
            None => Ok(point),
        });
        match checked {
            Ok(point) => {
                let place = origin.asked.as_ref().map(|asked| self.place(asked));
                self.points.push(Point { place, ..point });
            }
            Err(reason) => self.refuse(reason),
        }
    }

    fn place(&mut self, asked: &Asked) -> usize {
        let next = self.asked.len();
        let place = *self.places.entry(asked.clone()).or_insert(next);
        if place == next {
            self.asked.push(asked.clone());
        }
        place
    }

    /// Refuses a point.
    pub(super) fn refuse(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    fn fault(&self, point: &Point) -> Option<&'static str> {
        let (earliest, latest) = self.window;
        let is_name = |name: &str| name.chars().count() <= NAME && !name.contains('\0');
        if point.at_ns == 0 {
            return Some("it has no time");
        }
        if point.at_ns < earliest {
            return Some("it is older than a week, and it is not known any more whether it has come before");
        }
        if point.at_ns > latest {
            return Some("its time is more than a day ahead");
        }
        if point.is_total && point.begun_ns == 0 {
            return Some("it tells of all since a beginning, and not when that was");
        }
        if !is_name(&point.session_id) || !is_name(&point.model_name) {
            return Some("its session or model is no name of at most 255 characters");
        }
        None
    }

    /// What points are known by that have this in common.
    pub(super) fn series(&self, parts: &[&[u8]]) -> Uuid {
        let digest = digest(&[self.agent_id.as_bytes(), &digest(parts)]);
        Uuid::from_slice(digest.get(..16).unwrap_or_default()).unwrap_or_default()
    }
}

/// Of parts, each of which may be anything.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// What was refused, in words.
pub(super) fn told(refused: &BTreeMap<&'static str, i64>) -> String {
    let mut told = String::new();
    for (reason, count) in refused {
        let before = if told.is_empty() { "" } else { "; " };
        let _ = write!(told, "{before}{count} not taken: {reason}");
    }
    told
}

fn asked(attributes: &[KeyValue]) -> Asked {
    let given = |key| text_of(attributes, key).filter(|text| !text.trim().is_empty());
    let project = given("loopctl.project");
    let project_id = project.as_deref().and_then(|text| parse_uuid(text.trim()));
    // No record has a NUL in its name.
    let plain = |text: String| if text.contains('\0') { String::new() } else { text.trim().to_owned() };
    Asked {
        story_id: given("loopctl.story_id").map(|text| parse_uuid(text.trim()).unwrap_or_default()),
        project_id,
        slug: project.filter(|_| project_id.is_none()).map(plain),
        number: given("loopctl.story_number").map(plain),
    }
}

/// The value of an attribute.
pub(super) fn value_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

/// The value of an attribute that is a text, or can be written as one.
pub(super) fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    match value_of(attributes, key)? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The value of an attribute that is to be a number.
pub(super) fn number_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<Sent<'a>> {
    match value_of(attributes, key)? {
        Value::StringValue(text) => Some(Sent::Text(text)),
        Value::IntValue(number) => Some(Sent::Integer(*number)),
        Value::DoubleValue(number) => Some(Sent::Float(*number)),
        _ => Some(Sent::Text("")),
    }
}

fn session_of(attributes: &[KeyValue]) -> Option<String> {
    ["session.id", "conversation.id"].iter().find_map(|key| text_of(attributes, key))
}

/// The model that a point is of.
pub(super) fn model_of(attributes: &[KeyValue]) -> String {
    text_of(attributes, "model").filter(|model| !model.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Attributes in one order, as bytes.
pub(super) fn canonical(attributes: &[KeyValue]) -> Vec<u8> {
    let mut encoded: Vec<_> = attributes.iter().map(KeyValue::encode_length_delimited_to_vec).collect();
    encoded.sort_unstable();
    encoded.concat()
}

/// The text of a body.
pub(super) fn body_text(body: Option<&AnyValue>) -> Option<&str> {
    match body?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Nanoseconds as the database keeps them. What lies beyond is far ahead.
pub(super) fn nanoseconds(unix_nano: u64) -> i64 {
    i64::try_from(unix_nano).unwrap_or(i64::MAX)
}
