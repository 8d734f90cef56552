//! SQL of access events.

use uuid::Uuid;

use crate::db::{Row, statements};

/// A key whose reads named what the tenant has not.
#[derive(Debug, Row)]
pub(crate) struct Unresolved {
    api_key_id: Uuid,
    of_project: bool,
    of_story: bool,
}

impl Unresolved {
    /// Says so in the log.
    pub(super) fn warn(&self, tenant_id: Uuid) {
        let Self { api_key_id, of_project, of_story } = self;
        tracing::warn!(
            %tenant_id, %api_key_id, project_id = of_project, story_id = of_story,
            "a read of articles named a project or story that its tenant does not have: it is noted without"
        );
    }
}

statements! {
    /// Whose reads named a project or a story that is not the tenant's. A story alone brings its project.
    RECORD_READS -> Unresolved = "
        with read as (
            select r.*, p.id as known_project, s.id as known_story, s.project_id as project_of_story
            from unnest($2::uuid[], $3::float8[], $4::uuid[], $5::uuid[], $6::text[], $7::jsonb[], $8::uuid[], $9::uuid[])
                 as r (id, age, article_id, api_key_id, access_type, metadata, project_id, story_id)
            left join projects p on p.tenant_id = (select $1::uuid) and p.id = r.project_id
            left join stories s on s.tenant_id = (select $1::uuid) and s.id = r.story_id
        ), added as (
            insert into article_access_events (tenant_id, accessed_at, id, article_id, api_key_id, project_id, story_id,
                                               access_type, metadata)
            select $1, statement_timestamp() - make_interval(secs => r.age), r.id, r.article_id, r.api_key_id,
                   case when r.project_id is null then r.project_of_story else r.known_project end, r.known_story,
                   r.access_type, r.metadata
            from read r
        )
        select {*} from (
            select distinct api_key_id, project_id is not null and known_project is null as of_project,
                   story_id is not null and known_story is null as of_story
            from read) u
        where of_project or of_story";
}
