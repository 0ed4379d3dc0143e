-- The server's processes: who lives, who answers whose pings, and what the view of them says.
begin;
\ir ../../fixtures/fixture.sql
select no_plan();
select fixture.set_now('2030-01-01 12:00:00Z') \g /dev/null

create function pg_temp.start(p_role text, p_port int) returns bigint language sql
as $$ select kiln_api.register_instance(p_role, 'a-host-of-a-long-name', 1, p_port, 'test') $$;
create function pg_temp.beat(p_id bigint, p_sse int default 0) returns text language sql
as $$ select kiln_api.beat_instance(p_id, p_sse, 0, 0, 51200, 3, 1) $$;
create function pg_temp.state(p_id bigint) returns text language sql
as $$ select state from kiln.instances where id = p_id $$;
-- The whole proof of one instance, where the others answer each time in the order given; who answered which.
create function pg_temp.prove(p_asker bigint, variadic p_others bigint[]) returns text language plpgsql as $$
declare
    v_other bigint;
    v_state text;
begin
    for i in 1..40 loop
        v_state := (kiln_api.prove_bus(p_asker)).state;
        exit when v_state <> 'waiting';
        foreach v_other in array p_others loop perform from kiln_api.answer_ping(v_other); end loop;
        perform fixture.pass('10 milliseconds');
    end loop;
    return v_state;
end $$;
create temporary view answers as select instance_id as asker, answered_by, count(*)::int from kiln.ping
                                  group by 1, 2;

-- Alone -----------------------------------------------------------------------------------------------------

select pg_temp.start('both', 8080) as both \gset
select is((kiln_api.prove_bus(:both)).state, 'waiting', 'who starts first gives the others a moment to come');
select is(count(*)::int, 0, 'and does not answer itself') from kiln_api.answer_ping(:both);
select fixture.pass('3 seconds'), pg_temp.beat(:both) \g /dev/null
select is((p.state, p.pongs, p.number)::text, '(alone,0,)', 'then it knows that nobody else is there')
  from kiln_api.prove_bus(:both) p;
select is(proof, 'nobody', 'which the view says') from kiln.instances where id = :both;
select is((kiln_api.prove_bus(:both)).state, 'over', 'a proof is over once');
select is_empty('select from kiln.ping', 'not one ping was sent');
select kiln_api.end_instance(:both) \g /dev/null

-- Two that answer -------------------------------------------------------------------------------------------

select pg_temp.start('api', 8081) as api1, pg_temp.start('api', 8082) as api2,
       pg_temp.start('realtime', 8091) as rt1 \gset
select is(pg_temp.prove(:rt1, :api1, :api2), 'proved', 'ten pings are ten pongs');
select results_eq(format('select answered_by, count from answers where asker = %s order by 1', :rt1),
                  format('values (%s::bigint, 5), (%s::bigint, 5)', :api1, :api2),
                  'half of them by each, though one is always first to look');
select is((i.proof_pongs, i.proof_ms, i.proof_by)::text, format('(10,10.0,"{%s,%s}")', :api1, :api2),
          'the row has how many, the median and by whom') from kiln.instance i where i.instance_id = :rt1;
select is(proof, left(format('10/10 10.0ms %s,%s', :api1, :api2), 16), 'and so has the view')
  from kiln.instances where id = :rt1;

-- The way there and back is told to both; what was told is not told again.
select is(array_agg(a.round_trip_ms order by a.number), array[10.0]::numeric[],
          'who answered last hears how long it took')
  from kiln_api.answer_ping((select answered_by from kiln.ping where instance_id = :rt1 and number = 10)) a;
select is(count(*)::int, 0, 'once')
  from kiln_api.answer_ping((select answered_by from kiln.ping where instance_id = :rt1 and number = 10)) a;

-- One that is stuck -----------------------------------------------------------------------------------------

select pg_temp.start('realtime', 8092) as rt2 \gset
select kiln_api.prove_bus(:rt2), fixture.pass('1 millisecond') \g /dev/null
select is(a.number, 1, 'the first ping is anybody''s') from kiln_api.answer_ping(:api1) a;
select is(count(*)::int, 0, 'one answer a call, and no ping is answered twice')
  from kiln_api.answer_ping(:api2) where is_new;
select is((p.number, p.answered_by, p.answered_at, p.state)::text,
          format('(1,%s,a-host-of-a-long-name:8081,waiting)', :api1), 'the pong names who answered')
  from kiln_api.prove_bus(:rt2) p;
select is(count(*)::int, 0, 'who has answered leaves the next to another that lives')
  from kiln_api.answer_ping(:api1) a where is_new;
select is((p.number, p.state)::text, '(,waiting)', 'the asker waits') from kiln_api.prove_bus(:rt2) p;
select fixture.pass('250 milliseconds') \g /dev/null
select is(a.number, 2, 'but not for long: who does not take it is stuck') from kiln_api.answer_ping(:api1) a
 where is_new;
select is(count(*)::int, 0, 'a realtime process answers none that wants an api')
  from kiln_api.answer_ping(:rt1) a where is_new;
select kiln_api.prove_bus(:rt2) \g /dev/null
select fixture.pass('2100 milliseconds'), pg_temp.beat(:api1), pg_temp.beat(:api2) \g /dev/null
select is((p.number, p.answered_by, p.state)::text, '(3,,waiting)',
          'a ping without an answer is given up, and the next is sent') from kiln_api.prove_bus(:rt2) p;
select is(pg_temp.prove(:rt2, :api1, :api2), 'broken', 'nine of ten are not a proof');
select is(proof_pongs::int, 9, 'and the row says so') from kiln.instance where instance_id = :rt2;

-- The other direction ---------------------------------------------------------------------------------------

select pg_temp.start('api', 8083) as api3 \gset
select is(pg_temp.prove(:api3, :api1, :rt1, :rt2), 'proved', 'an api that starts asks as well');
select bag_eq(format('select answered_by from answers where asker = %s', :api3),
              format('values (%s::bigint), (%s::bigint)', :rt1, :rt2), 'and realtime processes answer it');
select pg_temp.start('both', 8084) as both2 \gset
select is(pg_temp.prove(:both2, :both2, :api1, :api2, :api3, :rt1, :rt2), 'proved',
          'a process of both roles asks any other');
select bag_eq(format('select answered_by, count from answers where asker = %s', :both2),
              format('select unnest(array[%s]::bigint[]), 2',
                     concat_ws(',', :api1, :api2, :api3, :rt1, :rt2)),
              'but not itself, and five share ten evenly');

-- Life and death --------------------------------------------------------------------------------------------

select fixture.pass('2 seconds'), pg_temp.beat(:api1), pg_temp.beat(:rt1, 19000),
       pg_temp.beat(:rt2) \g /dev/null
select is(streams, '19000/0/0', 'the view shows how many streams each serves') from kiln.instances
 where id = :rt1;
select fixture.pass('3 seconds'), pg_temp.beat(:api1) \g /dev/null
select fixture.pass('2100 milliseconds') \g /dev/null
select is(array[pg_temp.state(:api1), pg_temp.state(:rt2)], '{alive,silent}',
          'who does not beat for a lease is seen to be silent');
select pg_temp.beat(:api1) \g /dev/null
select is(array[pg_temp.state(:api1), pg_temp.state(:rt2), pg_temp.state(:both)], '{alive,expired,left}',
          'and is dead at another''s next beat');
select is(streams, null, 'a dead one serves nothing') from kiln.instances where id = :rt2;
select is(pg_temp.beat(:rt2), 'risen',
          'it was only stopped: its beat is taken, and it is told that it was taken for dead');
select is(pg_temp.beat(:rt2), 'alive', 'once');
select is(pg_temp.state(:rt2), 'alive', 'and it lives');
select is(pg_temp.beat(0), 'unknown', 'a beat of nobody is told so: register again');

select fixture.pass('30 seconds'), pg_temp.beat(:api1) \g /dev/null
select is(pg_temp.state(:rt2), 'silent',
          'after an outage, which makes all beats late, nobody is buried by whose own beat was late');
select fixture.pass('2 seconds'), pg_temp.beat(:api1) \g /dev/null
select is(pg_temp.state(:rt2), 'expired', 'but by the next');

select fixture.pass('2 minutes'), kiln_internal.purge_expired() \g /dev/null
select is(pg_temp.state(:api1), 'expired', 'where no server is left to say it, the tick does');
select fixture.pass('8 days'), kiln_internal.purge_expired() \g /dev/null
select is_empty('select from kiln.instance union all select from kiln.ping',
                'a week later they are forgotten, and their pings with them');

-- On a screen -----------------------------------------------------------------------------------------------

set role kiln_owner;
insert into kiln.instance (role, host, pid, port, version, sse, websocket, poll, lag_ms, proof_at,
                           proof_pongs, proof_ms, proof_by)
overriding system value select 'realtime', 'kiln-production-7', 99999, 65535, '1', 19000, 0, 0, 1500,
                               kiln_internal.now(), 10, 1234.5, array[1001, 1002, 1003]
                          from generate_series(1, 3);
reset role;
select cmp_ok(sum(w + 3)::int, '<=', 80, 'the view fits an 80-column screen')
  from (select greatest(max(length(e.value)), max(length(e.key))) as w
          from kiln.instances v, jsonb_each_text(to_jsonb(v)) e group by e.key) x;
select throws_ok($$ select kiln_api.register_instance('boss', 'h', 1, 1, 'x') $$, '22P02', null,
                 'there is no other role');
select finish();
rollback;
