//! Rows and SQL of skills. A skill and a version of it are always written by one statement: each has a key to the other.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A skill, of the alias `s`.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(super) struct Skill {
    #[row(sql = "s.id")]
    pub(super) id: Uuid,
    #[row(sql = "s.name")]
    pub(super) name: String,
    #[row(sql = "s.description")]
    pub(super) description: Option<String>,
    /// The newest one.
    #[row(sql = "s.current_version")]
    pub(super) current_version: i32,
    /// `active` or `archived`.
    #[row(sql = "s.status")]
    pub(super) status: String,
    /// Null: of the whole tenant.
    #[row(sql = "s.project_id")]
    pub(super) project_id: Option<Uuid>,
    #[row(sql = "s.metadata")]
    pub(super) metadata: JsonText,
    #[row(sql = "s.inserted_at")]
    pub(super) inserted_at: Timestamp,
    #[row(sql = "s.updated_at")]
    pub(super) updated_at: Timestamp,
}

/// A version of a skill, of the alias `v`.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct SkillVersion {
    #[row(sql = "v.id")]
    pub(super) id: Uuid,
    #[row(sql = "v.skill_id")]
    skill_id: Uuid,
    /// 1, 2, … within the skill.
    #[row(sql = "v.version")]
    version: i32,
    #[row(sql = "v.prompt_text")]
    prompt_text: String,
    #[row(sql = "v.changelog")]
    pub(super) changelog: Option<String>,
    /// As whoever added it has it, by default their role and key.
    #[row(sql = "v.created_by")]
    created_by: Option<String>,
    #[row(sql = "v.metadata")]
    metadata: JsonText,
    #[row(sql = "v.inserted_at")]
    inserted_at: Timestamp,
}

/// A version as a list has it: without its prompt.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct SkillVersionSummary {
    id: Uuid,
    /// 1, 2, … within the skill.
    version: i32,
    changelog: Option<String>,
    created_by: Option<String>,
    inserted_at: Timestamp,
}

/// A skill and the version that was added to it.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct SkillAndVersion {
    #[row(flatten)]
    pub(super) skill: Skill,
    #[row(flatten)]
    pub(super) version: SkillVersion,
}

/// A skill and what it says now.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct SkillWithPrompt {
    #[row(flatten)]
    skill: Skill,
    /// That of its current version.
    #[row(sql = "v.prompt_text")]
    current_prompt: String,
}

/// A skill that an import names, as it was when it was locked.
#[derive(Row)]
pub(super) struct NamedSkill {
    #[row(sql = "s.id")]
    pub(super) id: Uuid,
    #[row(sql = "s.project_id")]
    pub(super) project_id: Option<Uuid>,
    #[row(sql = "s.name")]
    pub(super) name: String,
}

/// By what the current version of a skill is compared.
#[derive(Row)]
pub(super) struct CurrentDigest {
    pub(super) skill_id: Uuid,
    pub(super) prompt_digest: Vec<u8>,
}

/// A version that an import has added.
#[derive(Row)]
pub(super) struct AddedVersion {
    pub(super) id: Uuid,
    pub(super) skill_id: Uuid,
    pub(super) version: i32,
    pub(super) changelog: Option<String>,
}

/// By which version of a skill a verification came about.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct SkillResult {
    #[row(sql = "r.id")]
    pub(super) id: Uuid,
    #[row(sql = "r.skill_version_id")]
    pub(super) skill_version_id: Uuid,
    #[row(sql = "r.verification_result_id")]
    pub(super) verification_result_id: Uuid,
    #[row(sql = "r.story_id")]
    pub(super) story_id: Uuid,
    #[row(sql = "r.metrics")]
    pub(super) metrics: JsonText,
    #[row(sql = "r.inserted_at")]
    inserted_at: Timestamp,
}

/// Of what a result is to tell.
#[derive(Row)]
pub(super) struct Parts {
    pub(super) version_is_known: bool,
    /// Of which story the verification is; None when there is no such one.
    pub(super) verified_story: Option<Uuid>,
}

/// A metric of a result, where it is a number.
macro_rules! metric {
    ($name:literal) => {
        concat!(
            "case when jsonb_typeof(r.metrics -> '",
            $name,
            "') = 'number' then (r.metrics ->> '",
            $name,
            "')::numeric end"
        )
    };
}

/// What came of a version. Means are of the results that have the metric, as decimals in a text; null where none has.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct SkillStats {
    #[row(sql = "v.version")]
    version: i32,
    #[row(sql = "count(*)")]
    total_results: i64,
    #[row(sql = "count(*) filter (where x.result = 'pass')")]
    pass_count: i64,
    #[row(sql = "count(*) filter (where x.result = 'fail')")]
    fail_count: i64,
    #[row(sql = "count(*) filter (where x.result = 'partial')")]
    partial_count: i64,
    #[row(sql = "count(distinct r.story_id)")]
    stories_reviewed: i64,
    #[row(sql = "trim_scale(avg(m.findings))::text")]
    avg_findings: Option<String>,
    #[row(sql = "trim_scale(avg(m.false_positives))::text")]
    avg_false_positives: Option<String>,
    /// Of what was found; `0` where nothing was, null where nobody counted.
    #[row(
        sql = "case when avg(m.findings) > 0 then trim_scale(avg(m.false_positives) / avg(m.findings))::text else '0' end"
    )]
    false_positive_rate: Option<String>,
    #[row(sql = "trim_scale(avg(m.iterations))::text")]
    avg_iterations: Option<String>,
}

statements! {
    PROJECTS_OF_SKILLS -> Uuid = "select id from projects where tenant_id = $1 and id = any($2)";
    INSERT_SKILL -> SkillAndVersion = "
        with s as (
            insert into skills (tenant_id, id, project_id, name, description, metadata) values ($1, $2, $3, $4, $5, $6)
            returning *
        ), v as (
            insert into skill_versions (tenant_id, id, skill_id, version, prompt_text, prompt_digest, changelog, created_by)
            select $1, $7, s.id, 1, $8, $9, $10, $11 from s
            returning *
        )
        select {*} from s cross join v";
    LIST_SKILLS -> list of Skill = {
        within: "",
        from: "
            skills s
            where s.tenant_id = $1 and ($2::uuid is null or s.project_id = $2) and ($3::text is null or s.status = $3)
              and ($4::text is null or position(lower($4) in lower(s.name)) > 0)",
        page: "order by coalesce(s.name = $4, false) desc, s.name, s.id limit $5 offset $6",
    };
    SHOW_SKILL -> SkillWithPrompt = "
        select {*} from skills s
        join skill_versions v on v.tenant_id = s.tenant_id and v.skill_id = s.id and v.version = s.current_version
        where s.tenant_id = $1 and s.id = $2";
    LOCK_SKILL -> Skill = "select {*} from skills s where s.tenant_id = $1 and s.id = $2 for no key update";
    UPDATE_SKILL -> Skill = "
        update skills s set description = $3, status = $4, metadata = $5, updated_at = clock_timestamp()
        where s.tenant_id = $1 and s.id = $2
        returning {*}";
    /// The skill is locked: its next version is this transaction's.
    ADD_VERSION -> SkillAndVersion = "
        with v as (
            insert into skill_versions (tenant_id, id, skill_id, version, prompt_text, prompt_digest, changelog, created_by,
                                        inserted_at)
            select $1, $3, id, current_version + 1, $4, $5, $6, $7, clock_timestamp()
            from skills where tenant_id = $1 and id = $2
            returning *
        ), s as (
            update skills t set current_version = v.version, updated_at = v.inserted_at from v
            where t.tenant_id = $1 and t.id = v.skill_id
            returning t.*
        )
        select {*} from s cross join v";
    LIST_VERSIONS -> list of SkillVersionSummary = {
        within: "skills where tenant_id = $1 and id = $2",
        from: "skill_versions where tenant_id = $1 and skill_id = $2",
        page: "order by version limit $3 offset $4",
    };
    SHOW_VERSION -> SkillVersion = "
        select {*} from skill_versions v where v.tenant_id = $1 and v.skill_id = $2 and v.version = $3";
    /// In the order in which they are given, which is that of their names: imports of the same names wait for each other, and never in
    /// a circle. Whose name is taken by then is left out.
    IMPORT_SKILLS -> NamedSkill = "
        with given as (
            select * from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bytea[],
                                 $9::text[]) with ordinality
                as given (id, version_id, project_id, name, description, prompt_text, prompt_digest, changelog, nth)
        ), s as (
            insert into skills (tenant_id, id, project_id, name, description)
            select $1, id, project_id, name, description from given order by nth
            on conflict on constraint skills_name do nothing
            returning *
        ), v as (
            insert into skill_versions (tenant_id, id, skill_id, version, prompt_text, prompt_digest, changelog, created_by)
            select $1, given.version_id, s.id, 1, given.prompt_text, given.prompt_digest, given.changelog, $10
            from s join given on given.id = s.id
        )
        select {*} from s";
    LOCK_NAMED_SKILLS -> NamedSkill = "
        select {*} from skills s
        where s.tenant_id = $1 and exists (
            select from unnest($2::uuid[], $3::text[]) as named (project_id, name)
            where named.name = s.name and named.project_id is not distinct from s.project_id)
        order by s.id for no key update";
    /// Of locked skills.
    CURRENT_DIGESTS -> CurrentDigest = "
        select {*} from skill_versions
        where tenant_id = $1 and (skill_id, version) in (
            select id, current_version from skills where tenant_id = $1 and id = any($2))";
    /// Of locked skills.
    IMPORT_VERSIONS -> AddedVersion = "
        with v as (
            insert into skill_versions (tenant_id, id, skill_id, version, prompt_text, prompt_digest, changelog, created_by,
                                        inserted_at)
            select $1, given.id, t.id, t.current_version + 1, given.prompt_text, given.prompt_digest, given.changelog, $7,
                   clock_timestamp()
            from unnest($2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::text[])
                as given (skill_id, id, prompt_text, prompt_digest, changelog)
            join skills t on t.tenant_id = $1 and t.id = given.skill_id
            returning id, skill_id, version, changelog, inserted_at
        ), s as (
            update skills t set current_version = v.version, updated_at = v.inserted_at from v
            where t.tenant_id = $1 and t.id = v.skill_id
        )
        select {*} from v";
    /// The story stays until the transaction ends, and so do its verifications. Yields its project.
    KEEP_VERIFIED_STORY -> Uuid = "
        select project_id from story_states where tenant_id = $1 and id = $2 for no key update";
    PARTS_OF_RESULT -> Parts = "
        select exists (select from skill_versions where tenant_id = $1 and id = $2) as version_is_known,
               (select story_id from verification_results where tenant_id = $1 and id = $3) as verified_story";
    INSERT_RESULT -> SkillResult = "
        insert into skill_results as r (tenant_id, id, skill_version_id, verification_result_id, story_id, metrics, inserted_at)
        values ($1, $2, $3, $4, $5, $6, clock_timestamp())
        returning {*}";
    LIST_RESULTS -> list of SkillResult = {
        within: "skill_versions where tenant_id = $1 and skill_id = $2 and version = $3",
        from: "
            skill_versions v join skill_results r on r.tenant_id = v.tenant_id and r.skill_version_id = v.id
            where v.tenant_id = $1 and v.skill_id = $2 and v.version = $3",
        page: "order by r.inserted_at desc, r.id desc limit $4 offset $5",
    };
    STATS -> list of SkillStats = {
        within: "skills where tenant_id = $1 and id = $2",
        count: "
            count(*) from skill_versions v
            where v.tenant_id = $1 and v.skill_id = $2 and exists (
                select from skill_results r where r.tenant_id = v.tenant_id and r.skill_version_id = v.id)",
        from: concat!("
            skill_versions v
            join skill_results r on r.tenant_id = v.tenant_id and r.skill_version_id = v.id
            join verification_results x on x.tenant_id = r.tenant_id and x.id = r.verification_result_id
            cross join lateral (
                select ", metric!("findings_count"), " as findings,
                       ", metric!("false_positive_count"), " as false_positives,
                       ", metric!("iteration"), " as iterations) m
            where v.tenant_id = $1 and v.skill_id = $2"),
        page: "group by v.version order by v.version limit $3 offset $4",
    };
}
