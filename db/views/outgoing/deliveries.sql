-- What leaves the house, as people read it.
create or replace view kiln.deliveries as
select d.delivery_id as delivery, d.account_id as account,
       left(regexp_replace(coalesce(e.url, 'mail to ' || a.email, 'mail'), '^https://', ''), 16) as target,
       left(coalesce(d.type::text, 'confirmation'), 13) as type,
       kiln_internal.shorten(case when d.state = 'sent' then 'sent ' || kiln_internal.ago(d.ended_at)
            when d.state = 'failed' then 'given up: ' || coalesce(d.why, 'no reason')
            when d.claimed_until > kiln_internal.now() then 'a runner is at it'
            when d.due_at <= kiln_internal.now()
                                      then 'due, ' || case when d.webhook_endpoint_id is null
                                                               then 'needs KILN_SMTP_URL'
                                                           else 'within a second' end
            else kiln_internal.ago(d.due_at) || ': ' || coalesce(d.why, 'no answer') end, 22) as story
  from (select d.* from kiln.delivery d order by d.delivery_id desc limit 1000) d
  left join kiln.webhook_endpoint e using (webhook_endpoint_id)
  left join kiln.account a on a.account_id = d.account_id
 order by d.delivery_id desc;
comment on view kiln.deliveries is
'The newest 1,000 webhooks and mails: the event, the target and the state of each. All: kiln.delivery,
kiln.delivery_attempt.';
comment on column kiln.deliveries.delivery is 'delivery_id.';
comment on column kiln.deliveries.account is 'Whose event it tells of.';
comment on column kiln.deliveries.target is 'The beginning of where it goes.';
comment on column kiln.deliveries.type is
'What happened, or confirmation: whether its reader has the address.';
comment on column kiln.deliveries.story is 'How it stands.';
