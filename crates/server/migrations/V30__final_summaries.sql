-- A summary stays when its reports are gone for good: from then on there is nothing any more of which it could be recounted.

-- Some of the day's reports that it counts are no longer there: nobody recounts it.
alter table cost_summaries add column final boolean not null default false;
