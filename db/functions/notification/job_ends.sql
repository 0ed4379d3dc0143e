-- Ends of jobs as notifications.

-- Notifications, behind their routes. A job's end (or its being held) is an event already: it is read from
-- the log, and nothing is written for it.
create or replace view kiln.job_ends as
select e.account_id, e.xid, e.event_id, e.at, e.type, e.job_id
  from kiln.event e
 where e.type in ('job.completed', 'job.failed', 'job.held');
comment on view kiln.job_ends is 'The ends and holds of jobs, read from the log of events as notifications.';
comment on column kiln.job_ends.account_id is 'Who is told.';
comment on column kiln.job_ends.xid is 'Its place in the log, with event_id.';
comment on column kiln.job_ends.event_id is 'The event.';
comment on column kiln.job_ends.at is 'When.';
comment on column kiln.job_ends.type is 'job.completed, job.failed or job.held.';
comment on column kiln.job_ends.job_id is 'The job.';

-- Ends are found among all that the account's log says, along its index; of that one page reads so much and
-- no more. (An index of the ends alone would be written at the end of each job.)
create or replace function kiln_internal.job_ends_page(p_account_id bigint, p_xid xid8, p_event_id bigint,
                                                       p_limit int)
returns table (xid xid8, event_id bigint, at timestamptz, item jsonb)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
as $$
declare
    c_window constant int := 1000;
    v_found  int;
begin
    return query
    select e.xid, e.event_id, e.at,
           jsonb_build_object('id', 'job-' || e.xid || '-' || e.event_id, 'kind', e.type,
               'text', case e.type when 'job.completed'
                                then 'Your ' || coalesce(j.media_type::text, 'job') || ' is ready'
                                   when 'job.held' then 'A job of yours waits for an administrator'
                            else 'A job of yours failed' end
                       || coalesce(': ' || nullif(kiln_internal.shorten(coalesce(case when e.type
                                                        <> 'job.completed' then e.data ->> 'message' end,
                                                            j.input ->> 'prompt'), 200), ''), ''),
               'link', '/generations/' || e.job_id, 'job_id', e.job_id::text, 'conversation_id', null,
               'read_at', case when e.at <= r.upto then kiln_internal.render_time(r.read_at) end,
                              'created_at', kiln_internal.render_time(e.at))
      from (select v.* from (select w.* from kiln.event w
                              where w.account_id >= p_account_id and w.xid <= p_xid
                                and (w.account_id, w.xid, w.event_id) < (p_account_id, p_xid, p_event_id)
                              order by w.account_id desc, w.xid desc, w.event_id desc limit c_window) v
             where v.type in ('job.completed', 'job.failed', 'job.held')
             order by v.xid desc, v.event_id desc limit p_limit) e
      -- by its key, whatever the statistics say
      left join lateral (select x.media_type, x.input from kiln.job x where x.job_id = e.job_id
                          limit 1) j on true
      left join kiln.job_ends_read r on r.account_id = p_account_id
     order by e.xid desc, e.event_id desc;
    get diagnostics v_found = row_count;
    if v_found < p_limit then
        return query
        select w.xid, w.event_id, w.at, null::jsonb
          from kiln.event w
         where w.account_id >= p_account_id and w.xid <= p_xid
                                and (w.account_id, w.xid, w.event_id) < (p_account_id, p_xid, p_event_id)
         order by w.account_id desc, w.xid desc, w.event_id desc
        offset c_window - 1 limit 1;
    end if;
end
$$;
comment on function kiln_internal.job_ends_page(bigint, xid8, bigint, int) is
'Ends of an account''s jobs as notifications, newest first, before a place in the log. A last row without an
item is the place up to which the log was read, where there may be more behind it.';
