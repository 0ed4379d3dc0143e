-- Sessions: their end.
create or replace function kiln_internal.end_sessions(p_account_id bigint, p_reason text)
returns void
language plpgsql
set search_path = ''
as $$
begin
    delete from kiln.stream_ticket t where t.account_id = p_account_id;
    insert into kiln.event (account_id, type, data)
    values (p_account_id, 'session.ended', jsonb_build_object('reason', p_reason));
    perform kiln_internal.notify_waiters(null);
end
$$;
comment on function kiln_internal.end_sessions(bigint, text) is
'Has every server close the account''s streams, and forgets its tickets; who still may comes back at once.';

create or replace function kiln_internal.after_tokens_of(p_account_id bigint)
returns timestamptz
language sql stable
return (select greatest(kiln_internal.now(), a.tokens_from,
                        (select max(i.token_issued_at) from kiln.identity i
                          where i.account_id = a.account_id) + interval '1 microsecond')
          from kiln.account a where a.account_id = p_account_id);
comment on function kiln_internal.after_tokens_of(bigint) is
'Now, or the first moment after every token that sign_in() issued for an account, if a clock was set back or
another call was quicker.';

create or replace function kiln.sign_out_everywhere(p_account_id bigint)
returns timestamptz
language plpgsql security definer
set search_path = ''
as $$
declare
    v_from timestamptz;
begin
    perform kiln_internal.guard_own(p_account_id);
    -- as sign_in() holds it
    perform from kiln.identity i where i.account_id = p_account_id order by i.identity_id for no key update;
    v_from := kiln_internal.after_tokens_of(p_account_id);
    update kiln.account a set tokens_from = v_from where a.account_id = p_account_id;
    perform kiln_internal.end_sessions(p_account_id, 'signed out everywhere');
    return v_from;
end
$$;
comment on function kiln.sign_out_everywhere(bigint) is
'Refuses all tokens of an account that were issued before now, and closes its streams. API keys stay valid.';
