-- The state machine of jobs, exhaustively: the tests are made from kiln.job_move and the enum, so that a move
-- which is added there without its behaviour here fails. An UPDATE of `state` is the transition, whoever
-- types it.
begin;
\ir ../../fixtures/fixture.sql
select * from no_plan();

-- Refused ---------------------------------------------------------------------------------------------------

create temporary view illegal as
select f.s as from_state, t.s as to_state
  from unnest(enum_range(null::kiln.job_state)) as f (s), unnest(enum_range(null::kiln.job_state)) as t (s)
 where f.s <> t.s and not exists (select from kiln.job_move m where m.from_state = f.s and m.to_state = t.s)
 order by f.s, t.s;

create temporary table sample as select s as state, fixture.job_in(s) as job_id
                                   from unnest(enum_range(null::kiln.job_state)) as s;

create function pg_temp.refused(p_from kiln.job_state, p_to kiln.job_state, p_role text)
returns setof text
language sql
as $$
    select is(r - 'detail' - 'hint',
              jsonb_build_object('code', 'KN001',
                                 'message', format('job %s is %s: it cannot become %s', s.job_id, p_from,
                                                   p_to)),
              format('%s: a job that is %s cannot become %s', p_role, p_from, p_to))
      from sample s, fixture.refusal(format('update kiln.job set state = %L where job_id = %s', p_to,
                                            s.job_id)) r
     where s.state = p_from
$$;

select isnt_empty('select from illegal', 'there are illegal moves to try');
select pg_temp.refused(from_state, to_state, 'a superuser') from illegal;
set local session_replication_role = replica;
select pg_temp.refused(from_state, to_state, 'with session_replication_role = replica') from illegal;
set local session_replication_role = origin;

select matches(fixture.refusal(format('update kiln.job set state = %L where job_id = %s', 'completed',
                                      s.job_id)) ->> 'hint',
               'From queued it may become: running, cancelling, held, cancelled.',
               'the refusal says which moves would be legal')
  from sample s where s.state = 'queued';
select matches(fixture.refusal(format('update kiln.job set state = %L where job_id = %s', 'running',
                                      s.job_id)) ->> 'hint',
               'kiln.retry_job\(' || s.job_id || '\) makes a new job',
               'of a finished job it says how to try again')
  from sample s where s.state = 'failed';
select is(array_agg(fixture.job_state(job_id) order by state), array_agg(state::text
                                                        order by state),
          'no refused move left a trace in the state')
  from sample;
select is((select count(*) from kiln.event e join sample s using (job_id)
            where e.type = 'job.completed')::int, 1, 'nor in the log');

-- Legal by the table, but something of it is missing: moves by hand that would leave a job without what
-- belongs to its state.

select matches(concat_ws(' ', r ->> 'code', r ->> 'message'),
               '^KN001 .*cannot become ' || v.to_state || ', since ' || v.why,
               v.claim || ', and it is said why')
  from (values ('queued',     'running',   'it starts when a runner claims',
                'no job starts without a runner'),
               ('queued',     'held',      'none of its tasks is held',
                     'no queued job is held without a held task'),
               ('running',    'held',      'none of its tasks is held',
                     'no running job is held without a held task'),
               ('cancelling', 'held',      'none of its tasks is held',
                     'no cancelling job is held without a held task'),
               ('running',    'completed', 'its last stage is not done',
                    'no job is completed before its last stage is done'),
               ('cancelling', 'completed', 'its last stage is not done',
                    'a cancelling job completes by its result only'),
               ('running',    'cancelled', 'a runner has its task',
                         'no job is cancelled over the head of its runner'),
               ('cancelling', 'cancelled', 'a runner has its task',
                         'a cancelling job waits for its runner')
       ) as v (from_state, to_state, why, claim)
  join sample s on s.state::text = v.from_state
 cross join lateral fixture.refusal(format('update kiln.job set state = %L where job_id = %s', v.to_state,
                                           s.job_id)) as r;

select matches(fixture.refusal(format('update kiln.job set state = %L where job_id = %s', v.to_state,
                                      s.job_id)) ->> 'message', 'it becomes ' || v.to_state
               || ' by kiln.resolve_job',
               'what is held for a person''s word becomes ' || v.to_state || ' by that, with its reason')
  from sample s cross join (values ('completed'), ('failed')) v (to_state) where s.state = 'held';
select matches(fixture.refusal(format('update kiln.job set state = %L, version = version + 7 where '
                                      'job_id = %s', 'cancelling', s.job_id)) ->> 'message',
               'what came of it \(version, .* not by hand',
               'a move counts as one version, and nobody types it')
  from sample s where s.state = 'queued';

-- Legal -----------------------------------------------------------------------------------------------------

-- Each move of the table, made the way it is made.
create function pg_temp.move(p_from kiln.job_state, p_to kiln.job_state)
returns bigint
language plpgsql
as $$
declare
    v_job bigint := fixture.job_in(p_from, p_pipeline => case when p_to = 'completed' then 'test/one'
                                                              else 'test/three' end);
begin
    case p_from || ' ' || p_to
        when 'queued running'       then perform fixture.start(v_job);
        when 'queued cancelled'     then update kiln.job set state = 'cancelled' where job_id = v_job;
        when 'queued cancelling'    then update kiln.job set state = 'cancelling' where job_id = v_job;
        when 'queued held'          then update kiln.task set state = 'held' where job_id = v_job;
        when 'running cancelling'   then update kiln.job set state = 'cancelling' where job_id = v_job;
        when 'running cancelled'    then
            perform fixture.complete(v_job);        -- the next stage waits, so nobody is at work on it
            update kiln.job set state = 'cancelled' where job_id = v_job;
        when 'running completed'    then perform fixture.complete(v_job);
        when 'running failed'       then perform fixture.fail(v_job, 'refused', 'No.');
        when 'running held'         then perform fixture.fail(v_job, 'unknown', 'Who knows.');
        when 'cancelling cancelled' then perform fixture.fail(v_job, 'cancelled', 'Stopped.');
        when 'cancelling completed' then perform fixture.complete(v_job);
        when 'cancelling held'      then update kiln.task set state = 'held'
                                          where job_id = v_job and state = 'running';
        when 'held running'         then update kiln.job set state = 'running' where job_id = v_job;
        -- Out of held leads a person's word with its reason. (Both were an UPDATE once: of a job that was
        -- perhaps paid.)
        when 'held completed'       then perform kiln.resolve_job(v_job, 'adopt', 'found', '{"found": true}');
        when 'held failed'          then perform kiln.resolve_job(v_job, 'fail', 'lost');
        when 'held cancelled'       then update kiln.job set state = 'cancelled' where job_id = v_job;
    end case;
    return v_job;
end
$$;
select lives_ok(format('create temporary table %I as select pg_temp.move(%L, %L) as job_id',
                       'done_' || m.from_state || '_' || m.to_state, m.from_state, m.to_state),
                format('a job that is %s can become %s (%s)', m.from_state, m.to_state, m.event))
  from kiln.job_move m order by m.from_state, m.to_state;

create function pg_temp.moved(p_from text, p_to text)
returns kiln.job
language plpgsql
as $$
declare
    v_job kiln.job;
begin
    execute format('select j.* from kiln.job j join %I using (job_id)',
                   'done_' || p_from || '_' || p_to) into v_job;
    return v_job;
end
$$;

-- queued → cancelling ends at once where nobody has the task: both moves are in the log, and the job is
-- cancelled.
create temporary view moved as
select m.*, case when m.from_state = 'queued' and m.to_state = 'cancelling' then 'cancelled'
                 else m.to_state end::kiln.job_state as end_state,
       pg_temp.moved(m.from_state::text, m.to_state::text) as j
  from kiln.job_move m order by m.from_state, m.to_state;

select is((j).state, end_state, format('%s → %s: that is its state', from_state, to_state)) from moved;
select ok(exists (select from kiln.event e where e.job_id = (j).job_id and e.account_id = (j).account_id
                     and e.type::text = 'job.' || case to_state when 'running' then 'started'
                                                       else to_state::text end),
          format('%s → %s: the log tells its account', from_state, to_state)) from moved;
select is((select max(e.version) from kiln.event e where e.job_id = (j).job_id), (j).version,
          format('%s → %s: the last event carries the job''s version', from_state, to_state)) from moved;
select is((select count(*) from kiln.event e where e.job_id = (j).job_id and e.type <> 'job.progress')::int,
          (j).version,
          format('%s → %s: the version grew by one with each change of state', from_state, to_state))
  from moved;
select is((j).finished_at is not null, end_state in ('completed', 'failed', 'cancelled'),
          format('%s → %s: finished_at is set if, and only if, that is the end', from_state, to_state))
  from moved;
select is((j).started_at is not null, from_state <> 'queued' or to_state = 'running',
          format('%s → %s: started_at is set if, and only if, it ever ran', from_state, to_state)) from moved;
select is((j).error_code is not null, end_state in ('failed', 'cancelled', 'held'),
          format('%s → %s: it has an error if, and only if, it failed, was cancelled or is held', from_state,
                 to_state)) from moved;
select is((j).error_message is not null, (j).error_code is not null,
          format('%s → %s: an error has its sentence', from_state, to_state)) from moved;
select is((select e.data from kiln.event e where e.job_id = (j).job_id order by e.event_id desc limit 1),
          case when (j).error_code is not null
                   then jsonb_build_object('code', (j).error_code, 'message', (j).error_message) end,
          format('%s → %s: and the event carries the same words', from_state, to_state))
  from moved where end_state in ('failed', 'cancelled', 'held', 'completed');
select is(exists (select from kiln.task t where t.job_id = (j).job_id
                     and t.state in ('ready', 'waiting', 'held', 'running')),
          end_state in ('running', 'cancelling', 'held'),
          format('%s → %s: it has a live task if, and only if, it has not ended', from_state, to_state))
  from moved;

select is(((pg_temp.moved('held', 'completed'))).output, '{"found": true}'::jsonb,
          'what a person adopted for a held task is the job''s output');
select is(fixture.task_states(((pg_temp.moved('held', 'running'))).job_id), 'ready',
          'a job that resumes has its held task ready again');
select is(fixture.events(((pg_temp.moved('queued', 'cancelling'))).job_id),
          'queued/1 cancelling/2 cancelled/3',
          'stopping a queued job by hand ends it, with both moves in the log');
select is(((pg_temp.moved('running', 'failed'))).error_message, 'No.',
          'a failed job keeps the reason its runner gave');

-- What never changes ----------------------------------------------------------------------------------------

select is(fixture.refusal(format('update kiln.job set %s where job_id = %s', v.change, s.job_id)) ->> 'code',
          'KN001', 'nobody changes what a job was born with: ' || v.change)
  from sample s, (values ('account_id = account_id + 1'), ('pipeline_version_id = pipeline_version_id + 1'),
                  ('stages = stages + 1'),
                         ('input = ''{"other": 1}'''),
                  ('created_at = created_at - interval ''1 day''')) as v (change)
 where s.state = 'queued';
select lives_ok(format('update kiln.job set input = input where job_id = %s', s.job_id),
                'to write what stands there changes nothing') from sample s where s.state = 'queued';
select throws_ok(format('update kiln.job set version = version + 1 where job_id = %s', s.job_id), 'KN001',
                 null, 'a version moves only with the state') from sample s where s.state = 'queued';
select is(fixture.refusal('truncate kiln.job cascade') ->> 'code', 'KN001',
          'the jobs are not emptied at a stroke');
select is(fixture.refusal(format('delete from kiln.job where job_id = %s', s.job_id)) ->> 'code',
          case when s.state in ('completed', 'failed', 'cancelled') then null else 'KN001' end,
          format('a job that is %s %s be deleted', s.state,
                 case when s.state in ('completed', 'failed', 'cancelled') then 'can' else 'cannot' end))
  from sample s order by s.state;

-- It was the time of the end, not the state, that opened the way: a hand-typed finished_at was enough to
-- delete a running job.
select is(fixture.refusal(format('update kiln.job set finished_at = kiln_internal.now() where job_id = %1$s; '
                                 'delete from kiln.job where job_id = %1$s', s.job_id)) ->> 'code', 'KN001',
          'a job is deleted by its state, not by a finished_at that someone typed') from sample s
 where s.state = 'running';

select lives_ok(format('update kiln.job set state = state where job_id = %s', s.job_id),
                'writing the same state is no move') from sample s where s.state = 'running';
select is(fixture.events(s.job_id), 'queued/1 started/2', 'and leaves no event') from sample s
 where s.state = 'running';

-- The same for people who run it: kiln_admin is no superuser.
create temporary table of_admin as select fixture.job_in('queued') as job_id;
grant select on of_admin to kiln_admin;
set local role kiln_admin;
select throws_ok('update kiln.job set state = ''completed'' where job_id = (select job_id from of_admin)',
                 'KN001', null, 'an admin cannot complete a queued job by hand');
select lives_ok('update kiln.job set state = ''cancelled'' where job_id = (select job_id from of_admin)',
                'an admin''s UPDATE is the transition too');
reset role;
select is(fixture.task_states(job_id), 'cancelled', 'and does all that belongs to it') from of_admin;

select is_empty('select * from kiln.contradictions', 'and nothing contradicts anything after all of this');
select * from finish();
rollback;
