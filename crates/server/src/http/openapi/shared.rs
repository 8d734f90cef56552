//! What many operations have in common is told once, under `components`, and named where it belongs.

use serde_json::{Map, Value, json};

/// Parameters, as they are called on the wire, and there.
const PARAMETERS: [(&str, &str); 9] = [
    ("page", "Page"),
    ("page_size", "PageSize"),
    ("limit", "Limit"),
    ("offset", "Offset"),
    ("cursor", "Cursor"),
    ("If-None-Match", "IfNoneMatch"),
    ("Idempotency-Key", "IdempotencyKey"),
    ("X-Impersonate-Tenant", "ImpersonateTenant"),
    ("X-Effective-Role", "EffectiveRole"),
];

/// Answers, by their status, and what they are called there.
const RESPONSES: [(&str, &str); 12] = [
    ("302", "Elsewhere"),
    ("304", "NotModified"),
    ("400", "BadRequestError"),
    ("401", "UnauthorizedError"),
    ("403", "ForbiddenError"),
    ("404", "NotFoundError"),
    ("409", "ConflictError"),
    ("413", "BodyTooLargeError"),
    ("415", "UnsupportedMediaTypeError"),
    ("422", "ValidationError"),
    ("429", "RateLimitError"),
    ("default", "ServerError"),
];

/// Where a schema is to be found.
pub(super) fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Moves the parameters that operations share out of them.
pub(super) fn parameters(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let share = |(wire, name): (&str, &str)| {
        let mut places: Vec<_> = operations(paths)
            .filter_map(|operation| operation["parameters"].as_array_mut())
            .flatten()
            .filter(|parameter| parameter["name"] == wire && parameter["in"] != "path")
            .collect();
        share(&mut places, "parameters", name)
    };
    PARAMETERS.into_iter().filter_map(share).collect()
}

/// Moves the answers that operations share out of them.
pub(super) fn responses(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let share = |(status, name): (&str, &str)| {
        let mut places: Vec<_> =
            operations(paths).filter_map(|operation| operation["responses"].get_mut(status)).collect();
        share(&mut places, "responses", name)
    };
    RESPONSES.into_iter().filter_map(share).collect()
}

fn operations(paths: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    paths.values_mut().filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut())
}

/// Gives what most of these are a name; the others stay as they are.
fn share(places: &mut [&mut Value], kind: &str, name: &str) -> Option<(String, Value)> {
    let mut seen: Vec<(&Value, usize)> = Vec::new();
    for place in places.iter() {
        match seen.iter_mut().find(|(value, _)| *value == &**place) {
            Some((_, times)) => *times += 1,
            None => seen.push((place, 1)),
        }
    }
    let (common, _) = seen.into_iter().max_by_key(|(_, times)| *times)?;
    let common = common.clone();
    for place in places.iter_mut().filter(|place| ***place == common) {
        **place = json!({"$ref": format!("#/components/{kind}/{name}")});
    }
    Some((name.to_owned(), common))
}

/// Gives the objects within a body that have a title a place of their own, under that name.
pub(super) fn name_nested(body: &mut Value, named: &mut Map<String, Value>) {
    if let Some(members) = body.as_object_mut() {
        members.remove("title");
    }
    move_titled(body, named);
}

fn move_titled(value: &mut Value, named: &mut Map<String, Value>) {
    let inner: &mut dyn Iterator<Item = &mut Value> = match value {
        Value::Object(members) => &mut members.values_mut(),
        Value::Array(items) => &mut items.iter_mut(),
        _ => return,
    };
    for place in inner {
        let title = place.get("title").and_then(Value::as_str).map(str::to_owned);
        let titled = title.filter(|_| place.get("properties").is_some());
        match titled {
            None => move_titled(place, named),
            Some(title) => {
                // What is said of the place stays there.
                let description = place.as_object_mut().and_then(|members| members.remove("description"));
                let mut whole = std::mem::replace(place, schema(&title));
                if let Some(description) = description {
                    place["description"] = description;
                }
                name_nested(&mut whole, named);
                named.insert(title, whole);
            }
        }
    }
}
