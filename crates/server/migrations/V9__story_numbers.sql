-- Story numbers have one to six parts, of letters, too. They are compared part by part: two numbers as numbers, a number
-- before a word, words by code point, the shorter of two equal beginnings first. The key is a text whose order by bytes is just
-- that; of numbers that differ in leading zeros alone, the text itself comes last.

create function story_order_key(p_number text) returns text
    language sql immutable strict parallel safe as $$
    select string_agg(
        case when part ~ '^[0-9]+$'
            -- How many digits, then the digits: more of them are more.
            then '0' || lpad(length(ltrim(part, '0'))::text, 2, '0') || ltrim(part, '0')
            else '1' || part
        end,
        -- Before whatever a part may hold.
        ' ' order by place)
    from unnest(string_to_array(p_number, '.')) with ordinality as parts (part, place)
$$;

-- A part as a number below 10000, a missing one as 0, and null for every other.
create function story_small_part(p_part text) returns integer
    language sql immutable strict parallel safe as $$
    select case when p_part = '' then 0 when p_part ~ '^0*[0-9]{1,4}$' then right('0000' || p_part, 4)::integer end
$$;

drop index stories_in_order, stories_by_epic, stories_waiting;
alter table stories
    drop column sort_key,
    drop column major,
    drop column minor,
    add column order_key text collate "C" not null generated always as (story_order_key(number)) stored,
    -- For clients that know it; nothing is ordered by it.
    add column sort_key integer not null generated always as (
        coalesce(story_small_part(split_part(number, '.', 1)) * 10000 + story_small_part(split_part(number, '.', 2)) * 10, 0)
    ) stored,
    add constraint stories_number_shape check (
        number ~ '^[A-Za-z0-9_-]{1,32}(\.[A-Za-z0-9_-]{1,32}){0,5}$' and length(number) <= 100
        -- What is there already may be longer, of leading zeros.
        or number ~ '^0*[0-9]{1,4}(\.0*[0-9]{1,4})?$'
    );
create index stories_in_order on stories (tenant_id, project_id, epic_position, order_key, number, id);
create index stories_by_epic on stories (tenant_id, epic_id, order_key, number, id);
create index stories_waiting on stories (tenant_id, project_id, epic_position, order_key, number, id)
    where agent_status = 'pending' and verified_status <> 'verified';
