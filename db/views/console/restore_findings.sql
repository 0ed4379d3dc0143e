-- What a restore leaves for people to look at.
create or replace view kiln.restore_findings as
select 'job'::text as what, t.job_id as id, t.account_id as account, t.error_message as finding,
       format('select kiln.resume_job(%s); -- or kiln.cancel_job(%1$s)', t.job_id) as what_to_do
  from kiln.task_held t
 where t.error_message like 'The database was restored from a backup.%'
      and not exists (select from kiln.call c where c.task_id = t.task_id and c.settled_at is null)
union all
select 'call', c.call_id, c.account_id, c.why,
       format($$select * from kiln.held_jobs where job = %s$$, c.job_id)
  from kiln.call c
 where c.settled_at is null and c.why like 'The database was restored from a backup.%'
union all
select 'delivery', d.delivery_id, d.account_id,
       format('%s by %s: %s', coalesce(d.type::text, 'confirmation'),
              case when d.webhook_endpoint_id is null then 'mail' else 'webhook' end, d.why),
       case when d.webhook_endpoint_id is not null
                then format('select kiln.resend(%s, %s)', d.account_id, d.delivery_id) end
  from kiln.delivery d
 where d.ended_at is not null and d.state = 'failed'
   and d.why like 'The database was restored from a backup.%'
union all
select 'position', l.account_id, nullif(l.account_id, 0),
       format('A client was told up to transaction %s of timeline %s; that one ended here at %s.', l.xid,
              l.timeline, l.began_xid), null
  from kiln.lost_position l
union all
select 'webhook', w.unmatched_webhook_id, null,
       format('Provider %s told of a request %s that is not known here.', p.name,
              coalesce(w.request_id, '(without id)')), null
  from kiln.unmatched_webhook w
  join kiln.provider p using (provider_id)
 where w.at > (select max(r.restored_at) from kiln.restore r);
comment on view kiln.restore_findings is
'The findings of kiln.after_restore(): work that may have been done since the backup and was not repeated,
and signs of what was told or paid and is lost.';
comment on column kiln.restore_findings.what is
'job (held), call (open at the backup), delivery (not sent again), position (a client was told more than is
here), webhook (a provider knows a request that is not here).';
comment on column kiln.restore_findings.id is 'Its id; of a position the account''s.';
comment on column kiln.restore_findings.account is 'Whose, where it is known.';
comment on column kiln.restore_findings.finding is 'What was found, as a sentence.';
comment on column kiln.restore_findings.what_to_do is 'What to type, where something can be done.';
