-- What has had its time is removed.

-- By the thousand, the oldest first: what has piled up, while nothing ran the timer for a month, costs each
-- tick no more than a moment. A tick that passes its time limit would begin anew with the same, for ever.
create or replace function kiln_internal.purge_expired()
returns void
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    c_most constant int := 5000;
begin
    delete from kiln.idempotency i
     where i.ctid = any (array(
               select o.ctid from kiln.idempotency o
                where o.created_at < kiln_internal.now() - interval '24 hours'
               limit c_most for update skip locked));
    delete from kiln.stream_ticket t
     where t.ctid = any (array(
               select o.ctid from kiln.stream_ticket o where o.expires_at < kiln_internal.now()
               limit c_most for update skip locked));
    delete from kiln.delivery d
     where d.ctid = any (array(
               select o.ctid from kiln.delivery o where o.ended_at < kiln_internal.now() - interval '30 days'
               limit c_most for update skip locked));
    update kiln.delivery d
       set state = 'failed', ended_at = kiln_internal.now(), claimed_until = null,
           why = coalesce(d.why, 'No runner with KILN_SMTP_URL was there in three days.')
     where d.ctid = any (array(select o.ctid from kiln.delivery o
                                where o.target = 0 and o.state = 'due'
                                  and o.created_at < kiln_internal.now() - interval '3 days'
                                  and coalesce(o.claimed_until, '-infinity') < kiln_internal.now()
                                limit c_most for update skip locked));
    delete from kiln.mail_recipient r
     where r.ctid = any (array(select o.ctid from kiln.mail_recipient o
                                where o.day < (kiln_internal.now() at time zone 'UTC')::date - 1
                                  and o.suppressed_at is null limit c_most for update skip locked));
    delete from kiln.nonce n
     where n.ctid = any (array(
               select o.ctid from kiln.nonce o where o.expires_at < kiln_internal.now()
               limit c_most for update skip locked));
    delete from kiln.account_rate r
     where r.ctid = any (array(
               select o.ctid from kiln.account_rate o
                where o.theoretical_arrival_at < kiln_internal.now() - interval '1 hour'
               limit c_most for update skip locked));
    delete from kiln.upload_session r
     where r.ctid = any (array(
               select o.ctid from kiln.upload_session o
                where o.until < kiln_internal.now() - interval '1 hour'
               limit c_most for update skip locked));
    delete from kiln.media m
     where m.ctid = any (array(select o.ctid from kiln.media o
                                where o.state = 'uploading'
                                  and o.created_at < kiln_internal.now() - (select c.upload_ttl
                                                        from kiln.config c) - interval '1 hour'
                                limit c_most for update skip locked));
    delete from kiln.job j
     where j.job_id = any (array(
               select w.job_id from (select u.job_id, u.finished_at from kiln.job u where u.kind = 'upload'
                                      order by u.job_id limit 1000) w
                where w.finished_at < kiln_internal.now() - interval '7 days'));
    delete from kiln.unmatched_webhook w
     where w.ctid = any (array(
               select o.ctid from kiln.unmatched_webhook o
                where o.at < kiln_internal.now() - interval '7 days'
               limit c_most for update skip locked));
    delete from kiln.runner r where r.ended_at < kiln_internal.now() - interval '7 days';
    perform kiln_internal.expire_instances(array(select i.instance_id from kiln.instance i
                                                  where i.ended_at is null
                                                    and i.beat_at < kiln_internal.now() - interval '1 minute'
                                                    for update skip locked));
    delete from kiln.instance i where i.ended_at < kiln_internal.now() - interval '7 days';
end
$$;
comment on function kiln_internal.purge_expired() is
'Removes what has had its time: idempotency keys after a day, tickets, nonces, rates at rest, abandoned
uploads, checks of uploads that ended a week ago, deliveries of a month ago, mail that nobody could send in
three days, runners and servers that ended a week ago, orphan webhooks.';
