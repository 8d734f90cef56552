//! The locks of stories: their states, in the order of ids, after their projects and before everything else.

use uuid::Uuid;

use crate::db::statements;

statements! {
    /// Serialises everything that moves or changes the story. What it waited for is seen by the statements after it.
    LOCK_STORY = "select id from story_states where tenant_id = $1 and id = $2 for no key update";
    /// Many at once, in the order in which they are named, which is that of their ids, before the first is looked at: calls that
    /// overlap never wait for each other in a circle. Each is looked up by itself, whatever the planner believes of a tenant's size.
    LOCK_STORIES -> Uuid = "
        select held.id from unnest((select $2::uuid[])) asked (id) cross join lateral (
            select t.id from story_states t where t.tenant_id = $1 and t.id = asked.id for no key update) held";
    /// Those of them that nobody holds: it waits for none.
    LOCK_FREE_STORIES -> Uuid = "
        select held.id from unnest((select $2::uuid[])) asked (id) cross join lateral (
            select t.id from story_states t where t.tenant_id = $1 and t.id = asked.id for no key update skip locked) held";
    /// The projects of stories whose verification may change: by it the stories that wait for them become ready or blocked,
    /// which is counted by one transaction of a project at a time.
    LOCK_PROJECTS_OF_STORIES = "
        select id from projects
        where tenant_id = $1 and id in (select project_id from stories where tenant_id = $1 and id = any($2))
        order by id for no key update";
    /// Under their projects' locks: stories that may become verified, or not verified any more, or go, with those that wait for
    /// them. All stories of an epic wait for another epic; it can turn only if these are all that it still has open.
    LOCK_WITH_DEPENDENTS = "
        select id from story_states
        where tenant_id = $1 and id = any(array(
            select unnest($2::uuid[])
            union
            select story_id from story_dependencies where tenant_id = $1 and depends_on_story_id = any($2)
            union
            select s.id
            from (select epic_id, count(*) as stories from story_states where tenant_id = $1 and id = any($2)
                  group by epic_id) mine
            join epic_states e on e.tenant_id = $1 and e.id = mine.epic_id and e.open <= mine.stories
            join epic_dependencies d on d.tenant_id = $1 and d.depends_on_epic_id = mine.epic_id
            join stories s on s.tenant_id = $1 and s.epic_id = d.epic_id))
        order by id for no key update";
}
