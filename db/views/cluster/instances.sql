-- The processes of the server, as people read them.
create or replace view kiln.instances as
select i.instance_id as id, i.role, left(i.host, 7) || ':' || i.port as at,
       case when i.ended_at is not null then i.ended_why
            when i.beat_at < kiln_internal.now() - c.lease then 'silent' else 'alive' end as state,
       case when i.ended_at is null then i.sse || '/' || i.websocket || '/' || i.poll end as streams,
       i.lag_ms as lag,
       left(case when i.proof_at is null then '' when i.proof_pongs is null then 'nobody'
                 else i.proof_pongs || '/10 ' || coalesce(case when i.proof_ms < 100 then i.proof_ms
                                                               else round(i.proof_ms) end || 'ms ', '')
                 || array_to_string(i.proof_by, ',') end, 16) as proof
  from (select i.* from kiln.instance i order by i.instance_id desc limit 1000) i
 cross join kiln.config c
 order by i.instance_id desc;
comment on view kiln.instances is
'The newest 1,000 server processes: state, number of streams, and the result of the pings at their start. All
columns: \d+ kiln.instance';
comment on column kiln.instances.id is 'instance_id.';
comment on column kiln.instances.role is 'api, realtime or both.';
comment on column kiln.instances.at is 'Its machine and port.';
comment on column kiln.instances.state is 'alive, silent (no beat for a lease), left or expired.';
comment on column kiln.instances.streams is 'Server-sent events / WebSockets / polls that wait.';
comment on column kiln.instances.lag is 'How late its loop was at the last beat, milliseconds.';
comment on column kiln.instances.proof is
'Of ten pings how many were answered, the median of the round trips, by which instances; nobody: no other
process was there.';
