//! What an exported project consists of (file 03 §10).

use loopctl_core::fields;
use loopctl_core::import::InitialStatus;
use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::VERSION;
use crate::db::{DbError, Timestamp, word};

/// What the document begins with.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Head {
    export_metadata: ExportMetadata,
    project: ExportedProject,
}

/// Where a document comes from.
#[derive(Debug, Serialize, ToSchema)]
struct ExportMetadata {
    #[schema(value_type = String, format = DateTime)]
    exported_at: Timestamp,
    loopctl_version: &'static str,
    project_id: Uuid,
    tenant_id: Uuid,
}

/// The project; an import ignores it.
#[derive(Debug, Serialize, ToSchema)]
struct ExportedProject {
    name: String,
    slug: String,
    description: Option<String>,
    repo_url: Option<String>,
    tech_stack: Option<String>,
    mission: Option<String>,
    status: String,
    #[schema(value_type = Object)]
    metadata: Value,
}

impl Head {
    pub(super) fn read(row: &Row, tenant_id: Uuid, project_id: Uuid) -> Result<Self, DbError> {
        let exported_at = row.try_get("exported_at")?;
        Ok(Self {
            export_metadata: ExportMetadata { exported_at, loopctl_version: VERSION, project_id, tenant_id },
            project: ExportedProject {
                name: row.try_get("name")?,
                slug: row.try_get("slug")?,
                description: row.try_get("description")?,
                repo_url: row.try_get("repo_url")?,
                tech_stack: row.try_get("tech_stack")?,
                mission: row.try_get("mission")?,
                status: row.try_get("status")?,
                metadata: row.try_get("metadata")?,
            },
        })
    }
}

/// An epic without its stories.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExportedEpic {
    pub(super) number: i32,
    title: String,
    description: Option<String>,
    phase: Option<String>,
    position: i32,
    #[schema(value_type = Object)]
    metadata: Value,
}

impl ExportedEpic {
    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            number: row.try_get("number")?,
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            phase: row.try_get("phase")?,
            position: row.try_get("position")?,
            metadata: row.try_get("metadata")?,
        })
    }
}

/// A story. Statuses, assignment and times are for the reader; an import ignores them, except the `initial_*` ones.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExportedStory {
    number: String,
    title: String,
    description: Option<String>,
    #[schema(value_type = Vec<Object>)]
    acceptance_criteria: Value,
    /// A string where a floating-point number would lose digits: of more than 15, some.
    #[schema(value_type = Option<f64>)]
    estimated_hours: Option<Value>,
    #[schema(value_type = String)]
    agent_status: AgentStatus,
    #[schema(value_type = String)]
    verified_status: VerifiedStatus,
    assigned_agent_id: Option<Uuid>,
    #[schema(value_type = Option<String>, format = DateTime)]
    assigned_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    reported_done_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    verified_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    rejected_at: Option<Timestamp>,
    rejection_reason: Option<String>,
    /// Only with `include_status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_agent_status: Option<&'static str>,
    /// Only with `include_status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_verified_status: Option<&'static str>,
    #[schema(value_type = Object)]
    metadata: Value,
}

impl ExportedStory {
    pub(super) fn read(row: &Row, include_status: bool) -> Result<Self, DbError> {
        let agent_status = word(row, "agent_status", AgentStatus::parse)?;
        let verified_status = word(row, "verified_status", VerifiedStatus::parse)?;
        let assigned_at: Option<Timestamp> = row.try_get("assigned_at")?;
        // A story that was verified in the loop becomes verified wherever the document is imported. That is no way
        // around the loop which was not there before: who may import may say so of any new story, a document says
        // nothing about stories that exist, and the audit entry of the new one says that its status was imported.
        let initial = if include_status {
            InitialStatus::restoring(agent_status, verified_status, assigned_at.is_some())
        } else {
            InitialStatus::default()
        };
        Ok(Self {
            number: row.try_get("number")?,
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            acceptance_criteria: row.try_get("acceptance_criteria")?,
            estimated_hours: row.try_get::<_, Option<Decimal>>("estimated_hours")?.map(hours),
            agent_status,
            verified_status,
            assigned_agent_id: row.try_get("assigned_agent_id")?,
            assigned_at,
            reported_done_at: row.try_get("reported_done_at")?,
            verified_at: row.try_get("verified_at")?,
            rejected_at: row.try_get("rejected_at")?,
            rejection_reason: row.try_get("rejection_reason")?,
            initial_agent_status: initial.initial_agent_status,
            initial_verified_status: initial.initial_verified_status,
            metadata: row.try_get("metadata")?,
        })
    }
}

/// The JSON number of a decimal. JSON numbers are read as floating-point numbers nearly everywhere, by the import as
/// well; a decimal that would come back as another one is a string, which the import reads to the last digit.
fn hours(decimal: Decimal) -> Value {
    let text = decimal.to_string();
    match serde_json::from_str(&text) {
        Ok(number) if fields::decimal(&number) == Some(decimal) => number,
        _ => Value::String(text),
    }
}

/// `{"story": "1.2", "depends_on": "1.1"}`
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExportedStoryDependency<'a> {
    pub(super) story: &'a str,
    pub(super) depends_on: &'a str,
}

/// `{"epic": 2, "depends_on": 1}`
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExportedEpicDependency {
    pub(super) epic: i32,
    pub(super) depends_on: i32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn hours_are_numbers_where_numbers_are_exact() {
        for (text, expected) in [
            ("8", json!(8)),
            ("4.5", json!(4.5)),
            ("4.50", json!(4.5)),
            ("0.1", json!(0.1)),
            ("0", json!(0)),
            ("123456789012.345", json!(123_456_789_012.345)),
            ("18446744073709551615", json!(u64::MAX)),
            ("100000000000000000000", json!(1e20)),
            ("0.0000000000000000000000000001", json!(1e-28)),
            ("0.1234567890123456789", json!("0.1234567890123456789")),
            ("9999999999999999999999999999", json!("9999999999999999999999999999")),
        ] {
            assert_eq!(hours(decimal(text)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hours_come_back(digits in 0..9_999_999_999_999_999_999_999_999_999_i128, scale in 0..29_u32, short in any::<bool>()) {
            let digits = if short { digits % 1_000_000_000_000_000 } else { digits };
            let value = Decimal::from_i128_with_scale(digits, scale);
            // As it crosses the wire.
            let sent: Value = serde_json::from_str(&hours(value).to_string()).unwrap();
            prop_assert_eq!(fields::decimal(&sent), Some(value));
            if short {
                prop_assert!(sent.is_number(), "{value}: {sent}");
            }
        }
    }
}
