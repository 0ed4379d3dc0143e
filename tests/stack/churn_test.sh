#!/usr/bin/env bash
# The queue under a storm: ten sessions enqueue, claim, complete, fail, release, cancel, hold, resume and kill runners at random,
# in transactions that meet on the same rows. Afterwards every job ends, and kiln.check_all() has nothing to say.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
unset "${!KILN_@}" "${!PG@}" DATABASE_URL
work=$(mktemp -d "${TEST_HOME:-/tmp}/churn-XXXXXX")
chmod 0755 "$work"
number=0
trap 'cd /; "$root/scripts/cluster.sh" stop "$work/cluster" immediate >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

ok() {
    number=$((number + 1))
    if [[ $1 == 0 ]]; then printf 'ok %d - %s\n' "$number" "$2"; else printf 'not ok %d - %s\n' "$number" "$2"; fi
    if [[ $1 != 0 && -n ${3:-} ]]; then printf '# %s\n' "${3//$'\n'/$'\n# '}"; fi
}
is() { [[ $1 == "$2" ]]; ok $? "$3" "got: $1
expected: $2"; }
value() { psql -X -At -c "$1" 2>&1; }

PGHOST=$("$root/scripts/cluster.sh" start "$work/cluster" --fast)
export PGHOST PGPORT=5432 PGUSER=postgres PGDATABASE=churn
psql -X -q -d postgres -c 'create database churn'
(cd "$root" && scripts/migrate.sh >/dev/null)

seed=${KILN_TEST_SEED:-$RANDOM}
printf '# KILN_TEST_SEED=%s\n' "$seed"

psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
begin;
select kiln.new_pipeline_version('storm') as v \gset
insert into kiln.stage (pipeline_version_id, position, name, handler, queue_id, max_attempts, backoff_base, backoff_cap)
select :v, n, 'stage-' || n, 'log', q.queue_id, 3, '10 milliseconds', '50 milliseconds'
  from generate_series(1, 3) n join kiln.queue q on q.name = (array['image', 'video', 'local'])[n];
commit;
update kiln.config set lease = '4 seconds';
-- What a session does in one step. Losing a race is an answer (KN…), a deadlock a try again; anything else is a failure.
create schema storm;
create table storm.log (outcome text, at timestamptz default clock_timestamp());
create function storm.step(p_runner bigint, p_dice int) returns void language plpgsql as $$
declare
    v_task   record;
    v_job_id bigint;
    v_media  text := md5(random()::text || clock_timestamp()::text);
begin
    case
    when p_dice <= 25 then
        perform kiln.enqueue('storm', '{"n": 1}', p_priority => p_dice % 4,
                             p_run_at => case when p_dice = 7 then now() + interval '30 milliseconds' end);
    when p_dice <= 33 then
        select job_id into v_job_id from kiln.job where finished_at is null order by random() limit 1;
        if p_dice = 26 and v_job_id is not null then
            update kiln.job set state = 'cancelling' where job_id = v_job_id;
        elsif v_job_id is not null then
            perform kiln.cancel_job(v_job_id);
        end if;
    when p_dice <= 36 then
        update kiln.task set state = 'held' where state = 'ready' and task_id = (select task_id from kiln.task_ready order by random() limit 1);
    when p_dice <= 40 then
        select job_id into v_job_id from kiln.task_held order by random() limit 1;
        if v_job_id is not null then
            perform kiln.resume_job(v_job_id);
        end if;
    when p_dice <= 43 then
        select * into v_task from kiln_runner.beat(p_runner) limit 1;
        if v_task.task_id is not null then
            perform kiln_runner.fail(v_task.task_id, v_task.fence, 'cancelled', 'as told');
        end if;
    when p_dice <= 52 then
        perform kiln_runner.tick(p_runner);
    when p_dice <= 60 then
        perform kiln_runner.claim(p_runner, 3);
    when p_dice <= 64 then
        select task_id, fence into v_task from kiln.task_running order by random() limit 1;
        perform kiln_runner.fail(v_task.task_id, v_task.fence, (array['transient', 'rate_limited', 'invalid', 'unknown', 'timeout'])[1 + p_dice % 5], 'a storm', 5)
          where v_task.task_id is not null;
    when p_dice <= 66 then
        select task_id, fence into v_task from kiln.task_running order by random() limit 1;
        perform kiln_runner.release(v_task.task_id, v_task.fence, 'a storm') where v_task.task_id is not null;
    when p_dice <= 67 then
        perform set_config('role', 'kiln_owner', true);
        update kiln.heartbeat set beat_at = now() - interval '1 minute' where runner_id = p_runner and p_runner % 2 = 0;
        perform set_config('role', 'none', true);
    when p_dice <= 70 then
        select task_id, fence into v_task from kiln.task_running order by random() limit 1;
        perform kiln_runner.progress(v_task.task_id, v_task.fence, random(), 'storming') where v_task.task_id is not null;
    else
        perform kiln_runner.cycle(p_runner, coalesce(array_agg(t.task_id), '{}'), coalesce(array_agg(t.fence), '{}'), coalesce(array_agg('{"ok": true}'::text), '{}'), 2)
           from (select task_id, fence from kiln.task_running where runner_id = p_runner limit 3) t;
    end case;
exception
    when sqlstate 'KN001' or sqlstate 'KN010' or sqlstate 'KN002' then
        null;
    when sqlstate 'KN011' then
        update storm.runner set runner_id = kiln_runner.register('storm', 'here', 1, '0', null, 50) where runner_id = p_runner;
    when serialization_failure or deadlock_detected then
        insert into storm.log (outcome) values (sqlstate);
end $$;
create table storm.runner (slot int primary key, runner_id bigint);
insert into storm.runner select n, kiln_runner.register('storm', 'here', 1, '0', null, 50) from generate_series(1, 10) n;
SQL
cat >"$work/step.sql" <<'SQL'
\set slot random(1, 10)
\set dice random(1, 100)
select storm.step((select runner_id from storm.runner where slot = :slot), :dice);
SQL
errors=$(pgbench -n -c 10 -j 2 -T "${KILN_TEST_STORM_SECONDS:-8}" --random-seed="$seed" -f "$work/step.sql" 2>&1 | grep -iE 'error|aborted' | head -n 5)
is "$errors" '' 'no step of the storm fails in a way a caller does not expect'
is "$(value "select complaint from kiln.check_all() where complaint not like 'runs with runner%' limit 5")" '' 'after the storm nothing contradicts itself'

# Calm: one runner works off what is left; people resume what is held.
value "set role kiln_owner; delete from kiln.heartbeat where runner_id in (select runner_id from storm.runner); update kiln.runner set ended_at = now(), ended_why = 'expired' where ended_at is null" >/dev/null
value "update kiln.task set state = 'ready', error_class = 'interrupted' where state = 'running'" >/dev/null
# One statement a step, since the clock of a statement stands still, and the chores of the tick go by it.
me=$(value "select kiln_runner.register('calm', 'here', 1, '0', null, 1000)")
left=1
until=$((SECONDS + 90))
while [[ $left != 0 ]] && ((SECONDS < until)); do
    left=$(psql -X -At -v me="$me" 2>&1 <<'SQL' | tail -n 1
select kiln.resume_job(job_id) from kiln.job where state = 'held' \g /dev/null
select kiln_runner.beat(:me), kiln_runner.tick(:me) \g /dev/null
update kiln.task set state = 'ready' where state = 'waiting';
select kiln_runner.complete(c.task_id, c.fence, '{"calm": true}') from kiln_runner.claim(:me, 1000) c \g /dev/null
select count(*) from kiln.job where finished_at is null;
SQL
    )
done
is "$left" 0 'every job ends'
is "$(value 'select * from kiln.check_all() limit 5')" '' 'and still nothing contradicts itself'
printf '# %s\n' "$(value "select format('%s jobs: %s completed, %s failed, %s cancelled; %s attempts; tried again: %s', count(*), count(*) filter (where state = 'completed'), count(*) filter (where state = 'failed'), count(*) filter (where state = 'cancelled'), (select count(*) from kiln.attempt), (select coalesce(string_agg(n || ' × ' || outcome, ', '), 'no') from (select outcome, count(*) as n from storm.log group by 1) o)) from kiln.job")"
is "$(value "select count(*) > 100 and count(*) filter (where state = 'completed') > 20 from kiln.job")" t 'and it was a storm, not a breeze'
printf '1..%d\n' "$number"
