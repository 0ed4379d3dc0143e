-- What leaves the house, as people read it.
create or replace view kiln.deliveries as
select d.delivery_id, d.account_id, coalesce(e.url, 'mail to ' || a.email, 'mail') as target, coalesce(d.type::text, 'confirmation') as type, d.state,
       case when d.state = 'sent' then 'Sent at attempt ' || d.attempts || '.'
            when d.state = 'failed' then 'Given up after ' || d.tries || ' tries: ' || coalesce(d.why, 'no reason')
            when d.taken_until > kiln.now() then 'A runner is at it, attempt ' || d.attempts || '.'
            when d.due_at <= kiln.now() then 'Due; a runner will take it within a second or so' || case when d.webhook_endpoint_id is null then ', if it has KILN_SMTP_URL.' else '.' end
            else 'To be tried again ' || to_char(d.due_at, 'YYYY-MM-DD HH24:MI:SS') || ': ' || coalesce(d.why, 'the runner did not answer') end as story,
       d.attempts, d.message_id, d.created_at, d.ended_at
  from kiln.delivery d
  left join kiln.webhook_endpoint e using (webhook_endpoint_id)
  left join kiln.account a on a.account_id = d.account_id;
comment on view kiln.deliveries is 'Webhooks and mail: what is to be told to whom, and how it stands.';
comment on column kiln.deliveries.delivery_id is 'The delivery.';
comment on column kiln.deliveries.account_id is 'Whose event it tells of.';
comment on column kiln.deliveries.target is 'Where it goes.';
comment on column kiln.deliveries.type is 'What happened, or confirmation: whether its reader has the address.';
comment on column kiln.deliveries.state is 'due, sent or failed.';
comment on column kiln.deliveries.story is 'How it stands, in a sentence.';
comment on column kiln.deliveries.attempts is 'How often it was tried.';
comment on column kiln.deliveries.message_id is 'By which the receiver knows a repeat.';
comment on column kiln.deliveries.created_at is 'When it was made.';
comment on column kiln.deliveries.ended_at is 'When it was sent or given up.';
