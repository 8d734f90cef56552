//! Rows and SQL of UI test runs.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::db::{DbError, Row, RowReader, RowTypes, Timestamp, statements};

/// A UI test run, without its findings.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct BareRun {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    pub(super) project_id: Uuid,
    /// The key's agent, if it has one.
    pub(super) started_by_agent_id: Option<Uuid>,
    /// `in_progress` (under `ui_test_runs`: `running`), `passed`, `failed` or `cancelled`.
    pub(super) status: String,
    /// Null only for runs that were started under `ui_test_runs`.
    pub(super) guide_reference: Option<String>,
    notes: Option<String>,
    summary: Option<String>,
    screenshots_count: i32,
    pub(super) findings_count: i32,
    /// `critical` and `blocker`.
    pub(super) critical_count: i32,
    /// `high` and `bug`.
    pub(super) high_count: i32,
    started_at: Timestamp,
    completed_at: Option<Timestamp>,
    inserted_at: Timestamp,
    updated_at: Timestamp,
}

/// A UI test run.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct UiTestRun {
    #[row(flatten)]
    #[serde(flatten)]
    pub(super) run: BareRun,
    /// In the order in which they were recorded.
    #[row(flatten)]
    pub(super) findings: Findings<false>,
}

/// A UI test run in a list.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct ListedRun {
    #[row(flatten)]
    #[serde(flatten)]
    run: BareRun,
    /// The 20 newest, in the order in which they were recorded.
    #[row(flatten)]
    findings: Findings<true>,
}

impl AsMut<BareRun> for BareRun {
    fn as_mut(&mut self) -> &mut BareRun {
        self
    }
}

impl AsMut<BareRun> for UiTestRun {
    fn as_mut(&mut self) -> &mut BareRun {
        &mut self.run
    }
}

impl AsMut<BareRun> for ListedRun {
    fn as_mut(&mut self) -> &mut BareRun {
        &mut self.run
    }
}

/// Something found on the way, with the fields that were sent.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(extend("additionalProperties" = true))]
pub(super) struct UiTestFinding {
    id: Uuid,
    #[schemars(skip)]
    content: JsonText,
    recorded_at: Timestamp,
}

impl Serialize for UiTestFinding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut finding = serializer.serialize_map(None)?;
        finding.serialize_entry("id", &self.id)?;
        for (name, value) in self.content.object().unwrap_or_default().members() {
            finding.serialize_entry(name, value)?;
        }
        finding.serialize_entry("recorded_at", &self.recorded_at)?;
        finding.end()
    }
}

/// Findings of a run, in the order in which they were recorded: the 20 newest, or all.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Findings<const NEWEST: bool>(pub(super) Vec<UiTestFinding>);

/// Of the run that is selected: an array per column, so that each finding is read for itself.
macro_rules! columns {
    ($which:literal) => {
        concat!(
            columns!("id" as "finding_ids", $which), ", ", columns!("content" as "finding_contents", $which), ", ",
            columns!("recorded_at" as "finding_times", $which)
        )
    };
    ($column:literal as $name:literal, $which:literal) => {
        concat!(
            "array(select f.", $column, " from ui_test_findings f
             where f.tenant_id = ui_test_runs.tenant_id and f.run_id = ui_test_runs.id", $which, " order by f.position) as ", $name
        )
    };
}

impl<const NEWEST: bool> Row for Findings<NEWEST> {
    /// Positions are counted, and none is left out.
    const COLUMNS: &'static str =
        if NEWEST { columns!(" and f.position > findings_count - 20") } else { columns!("") };
    const WIDTH: usize = 3;

    fn read(reader: &mut RowReader<'_>) -> Result<Self, DbError> {
        let ids: Vec<Uuid> = reader.column("finding_ids")?;
        let contents: Vec<JsonText> = reader.column("finding_contents")?;
        let times: Vec<Timestamp> = reader.column("finding_times")?;
        let findings = ids.into_iter().zip(contents).zip(times);
        let finding = |((id, content), recorded_at)| UiTestFinding { id, content, recorded_at };
        Ok(Self(findings.map(finding).collect()))
    }

    fn check(types: &mut RowTypes<'_>) -> Result<(), String> {
        types.column::<Vec<Uuid>>("finding_ids")?;
        types.column::<Vec<JsonText>>("finding_contents")?;
        types.column::<Vec<Timestamp>>("finding_times")
    }
}

/// What the next finding, or the end, needs to know of a run.
#[derive(Row)]
pub(super) struct LockedRun {
    pub(super) status: String,
    pub(super) findings_count: i32,
    /// What they come to.
    pub(super) findings_bytes: i32,
    pub(super) critical_count: i32,
    pub(super) high_count: i32,
}

statements! {
    /// The project stays until the transaction ends.
    KEEP_RUN_PROJECT -> Uuid = "select id from projects where tenant_id = $1 and id = $2 for key share";
    INSERT_RUN -> UiTestRun = "
        insert into ui_test_runs (tenant_id, id, project_id, started_by_agent_id, guide_reference, notes)
        values ($1, $2, $3, $4, $5, $6)
        returning {*}";
    /// Only of the runs of the page are findings looked for.
    LIST_RUNS -> list of ListedRun = {
        within: "projects where tenant_id = $1 and id = $2",
        from: "
            ui_test_runs where tenant_id = $1 and project_id = $2 and ($3::text is null or status = $3)",
        page: "
            and id = any (array(
                select id from ui_test_runs
                where tenant_id = $1 and project_id = $2 and ($3::text is null or status = $3)
                order by started_at desc, id limit $4 offset $5))
            order by started_at desc, id",
    };
    LIST_BARE_RUNS -> list of BareRun = {
        within: "projects where tenant_id = $1 and id = $2",
        from: "
            ui_test_runs where tenant_id = $1 and project_id = $2 and ($3::text is null or status = $3)",
        page: "order by started_at desc, id limit $4 offset $5",
    };
    /// `$3` is the project in which the run must be, where the path names one.
    SHOW_RUN -> UiTestRun = "
        select {*} from ui_test_runs
        where tenant_id = $1 and id = $2 and ($3::uuid is null or project_id = $3)";
    /// As `SHOW_RUN`, for who is about to change it.
    LOCK_RUN -> LockedRun = "
        select {*} from ui_test_runs
        where tenant_id = $1 and id = $2 and ($3::uuid is null or project_id = $3) for no key update";
    INSERT_FINDING = "
        insert into ui_test_findings (tenant_id, id, run_id, position, content, recorded_at)
        values ($1, $2, $3, $4, $5, clock_timestamp())";
    /// The run's row is locked, and its new finding is there.
    COUNT_FINDING -> UiTestRun = "
        update ui_test_runs
        set findings_count = findings_count + 1, findings_bytes = findings_bytes + $6, screenshots_count = screenshots_count + $3,
            critical_count = critical_count + $4, high_count = high_count + $5, updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning {*}";
    COMPLETE_RUN -> UiTestRun = "
        update ui_test_runs
        set status = $3, summary = $4, completed_at = clock_timestamp(), updated_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning {*}";
}
