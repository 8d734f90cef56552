//! SQL of dependencies.

use crate::db::statements;

statements! {
    EPIC_PROJECTS = "select id, project_id from epics where tenant_id = $1 and id = any($2)";
    STORY_PROJECTS = "select id, project_id from stories where tenant_id = $1 and id = any($2)";
    INSERT_EPIC_EDGE = "
        insert into epic_dependencies (tenant_id, project_id, id, epic_id, depends_on_epic_id)
        values ($1, $2, $3, $4, $5)
        returning *";
    INSERT_STORY_EDGE = "
        insert into story_dependencies (tenant_id, project_id, id, story_id, depends_on_story_id)
        values ($1, $2, $3, $4, $5)
        returning *";
    EPIC_EDGE_PROJECT = "select project_id from epic_dependencies where tenant_id = $1 and id = $2";
    STORY_EDGE_PROJECT = "select project_id from story_dependencies where tenant_id = $1 and id = $2";
    DELETE_EPIC_EDGE = "delete from epic_dependencies where tenant_id = $1 and id = $2 returning *";
    DELETE_STORY_EDGE = "delete from story_dependencies where tenant_id = $1 and id = $2 returning *";
    /// Edges with either end among `$2`.
    EDGES_OF_EPICS = "
        select * from epic_dependencies where tenant_id = $1 and (epic_id = any($2) or depends_on_epic_id = any($2))
        order by inserted_at, id";
    /// As `EDGES_OF_EPICS`.
    EDGES_OF_STORIES = "
        select * from story_dependencies where tenant_id = $1 and (story_id = any($2) or depends_on_story_id = any($2))
        order by inserted_at, id";

    COUNT_EPIC_EDGES = "
        select count(*) as total, exists (select from projects where tenant_id = $1 and id = $2) as known
        from epic_dependencies where tenant_id = $1 and project_id = $2";
    /// Without `$3` all of them.
    LIST_EPIC_EDGES = "
        select * from epic_dependencies where tenant_id = $1 and project_id = $2
        order by inserted_at, id limit $3 offset $4";
    COUNT_STORY_EDGES = "
        select count(*) as total, exists (select from epics where tenant_id = $1 and id = $2) as known
        from story_dependencies
        where tenant_id = $1 and project_id = (select project_id from epics where tenant_id = $1 and id = $2)
          and (story_id in (select id from stories where tenant_id = $1 and epic_id = $2)
               or depends_on_story_id in (select id from stories where tenant_id = $1 and epic_id = $2))";
    /// Either end is a story of the epic. Without `$3` all of them.
    LIST_STORY_EDGES = "
        select * from story_dependencies
        where tenant_id = $1 and project_id = (select project_id from epics where tenant_id = $1 and id = $2)
          and (story_id in (select id from stories where tenant_id = $1 and epic_id = $2)
               or depends_on_story_id in (select id from stories where tenant_id = $1 and epic_id = $2))
        order by inserted_at, id limit $3 offset $4";

    GRAPH_EPICS = "
        select id, number, title, phase, position from epics where tenant_id = $1 and project_id = $2
        order by position, number, id";
    GRAPH_STORIES = "
        select id, epic_id, number, title, agent_status, verified_status, sort_key from stories
        where tenant_id = $1 and project_id = $2 order by major, minor, number, id";
    GRAPH_EPIC_EDGES = "
        select epic_id as \"from\", depends_on_epic_id as \"to\" from epic_dependencies
        where tenant_id = $1 and project_id = $2 order by inserted_at, id";
    GRAPH_STORY_EDGES = "
        select story_id as \"from\", depends_on_story_id as \"to\" from story_dependencies
        where tenant_id = $1 and project_id = $2 order by inserted_at, id";
}
