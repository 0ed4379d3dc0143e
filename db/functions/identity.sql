-- Who acts. The server passes what the verified token says; the account is set for this transaction only, and row-level
-- security reads it there as a second wall.
create or replace function kiln_api.act_as(p_context text)
returns bigint
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
    v_context    jsonb := p_context::jsonb;
    v_account_id bigint;
    v_role       text := v_context ->> 'role';
    v_suspended  boolean;
    v_from       timestamptz;
begin
    if v_context ->> 'sub' is null then
        perform set_config('kiln.account_id', '', true), set_config('kiln.role', '', true);
        return null;
    elsif length(v_context ->> 'sub') not between 1 and 255 then
        raise exception 'the token''s subject must have 1 to 255 characters' using errcode = 'KN009';
    end if;
    select a.account_id, a.is_suspended, coalesce(v_role, a.role::text), a.tokens_from into v_account_id, v_suspended, v_role, v_from
      from kiln.identity i
      join kiln.account a using (account_id)
     where i.issuer = coalesce(v_context ->> 'iss', '') and i.subject = v_context ->> 'sub';
    if not found then
        v_account_id := kiln.make_account(coalesce(v_context ->> 'iss', ''), v_context ->> 'sub', (v_context ->> 'iat')::bigint);
        v_role := coalesce(v_context ->> 'role', 'user');      -- a select that finds nothing has emptied v_role
    elsif v_suspended then
        raise exception 'this account is suspended' using errcode = 'KN009';
    elsif (v_context ->> 'iat')::bigint < extract(epoch from v_from) then
        raise exception 'this token was issued before its account signed out everywhere' using errcode = 'KN009';
    end if;
    if v_context ? 'writes' then
        perform kiln.spend_rate(v_account_id, 'write');
        perform set_config('application_name', 'kiln-server write ' || coalesce(v_context ->> 'request_id', ''), true);
    end if;
    perform set_config('kiln.account_id', v_account_id::text, true),
            set_config('kiln.role', v_role, true),
            set_config('kiln.idempotency_key', coalesce(v_context ->> 'idempotency_key', ''), true);
    return v_account_id;
end
$$;
comment on function kiln_api.act_as(text) is
'Sets who acts, for this transaction: {"sub", "iss", "role", "iat", "idempotency_key", "request_id", "writes"}, from a token that was
verified; without a role the account''s own holds. Returns the account (made when first seen), or null without a sub. A call that writes
counts towards the account''s rate (KN007) and names its request in pg_stat_activity. KN009: suspended, signed out, or a sub that nobody can have.';

create or replace function kiln.identity_hash(p_issuer text, p_subject text)
returns bytea
language sql immutable
return sha256(convert_to(p_issuer || E'\n' || p_subject, 'UTF8'));
comment on function kiln.identity_hash(text, text) is 'An identity in kiln.identity_gone.';

-- One row a class and account; whoever spends holds it until its transaction ends, so the count is exact over all servers. A call that
-- is refused takes its spending back with it.
create or replace function kiln.spend_rate(p_account_id bigint, p_class kiln.rate_class)
returns void
language plpgsql volatile
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_now     timestamptz := kiln.now();
    v_step    interval;
    v_reach   interval;
    v_free_at timestamptz;
begin
    select interval '1 minute' / r.per_minute, (interval '1 minute' / r.per_minute) * r.burst into v_step, v_reach
      from kiln.config c
     cross join lateral (values (case p_class when 'write' then c.writes_per_minute else c.logins_per_minute end,
                                 case p_class when 'write' then c.writes_burst else c.logins_burst end)) as r (per_minute, burst);
    if v_step is null then
        return;
    end if;
    insert into kiln.account_rate as r (account_id, class, free_at) values (p_account_id, p_class, v_now + v_step)
    on conflict (account_id, class) do update set free_at = greatest(r.free_at, v_now) + v_step
     where greatest(r.free_at, v_now) + v_step <= v_now + v_reach;
    if not found then
        select r.free_at into v_free_at from kiln.account_rate r where r.account_id = p_account_id and r.class = p_class;
        raise exception 'this account has made too many %', case p_class when 'write' then 'changes' else 'sign-ins' end || ' in a short time'
            using errcode = 'KN007',
                  detail = json_build_object('retry_after', ceil(extract(epoch from v_free_at + v_step - v_reach - v_now)))::text;
    end if;
end
$$;
comment on function kiln.spend_rate(bigint, kiln.rate_class) is
'Takes one from an account''s rate (GCRA: bursts of kiln.config''s size, then one each step), exactly, over all servers. KN007: none is left; DETAIL says until when.';

create or replace function kiln.make_account(p_issuer text, p_subject text, p_issued_at bigint default null)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    v_account_id bigint;
begin
    if exists (select from kiln.identity_gone g where g.identity_hash = kiln.identity_hash(p_issuer, p_subject)
                  and p_issued_at <= extract(epoch from g.gone_at)) then
        raise exception 'this token is of an account that is no longer its own: sign in anew' using errcode = 'KN009';
    end if;
    insert into kiln.account default values returning account_id into v_account_id;
    insert into kiln.identity (issuer, subject, account_id) values (p_issuer, p_subject, v_account_id) on conflict do nothing;
    if not found then       -- someone was quicker
        delete from kiln.account where account_id = v_account_id;
        select i.account_id into v_account_id from kiln.identity i where i.issuer = p_issuer and i.subject = p_subject;
    end if;
    return v_account_id;
end
$$;
comment on function kiln.make_account(text, text, bigint) is
'The account of an identity that is seen for the first time. KN009: it was unlinked or deleted after its token was issued (p_issued_at: seconds since 1970).';

create or replace function kiln.acting_account()
returns bigint
language sql stable
return nullif(current_setting('kiln.account_id', true), '')::bigint;
comment on function kiln.acting_account() is 'The account that acts in this transaction, or null.';

create or replace function kiln.acts_as_admin()
returns boolean
language sql stable
return coalesce(current_setting('kiln.role', true) = 'admin', false);
comment on function kiln.acts_as_admin() is 'True if the one who acts in this transaction may see everything.';

create or replace function kiln.require_actor(p_actor bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if p_actor is null or p_actor is distinct from kiln.acting_account() then
        raise exception 'this needs a token' using errcode = 'KN009';
    end if;
end
$$;
comment on function kiln.require_actor(bigint) is 'Refuses a call without an account, or for another one than act_as() set (KN009).';

create or replace function kiln.require_admin(p_actor bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform kiln.require_actor(p_actor);
    if not kiln.acts_as_admin() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
end
$$;
comment on function kiln.require_admin(bigint) is 'Refuses a call without an account (KN009), and one whose role is not admin (KN004).';

-- Idempotency: the key's row is written first, so that of fifty at the same moment one goes on and the others wait for it.
create or replace function kiln.begin_once(p_actor bigint, p_route text, p_body text)
returns bigint
language plpgsql security definer
set search_path = ''
as $$
declare
    v_key  text := nullif(current_setting('kiln.idempotency_key', true), '');
    v_hash bytea;
    v_row  kiln.idempotency;
begin
    if v_key is null then
        return null;
    end if;
    if length(v_key) > 255 then
        raise exception 'Idempotency-Key has more than 255 characters' using errcode = 'KN006';
    end if;
    v_hash := sha256(convert_to(coalesce(p_body, ''), 'UTF8'));
    insert into kiln.idempotency (account_id, route, key, body_hash, thing_id) values (p_actor, p_route, v_key, v_hash, 0)
    on conflict (account_id, route, key) do update
       set body_hash = excluded.body_hash, thing_id = 0, created_at = excluded.created_at
     where idempotency.created_at < excluded.created_at - interval '24 hours';
    if found then
        return null;
    end if;
    select * into v_row from kiln.idempotency i where i.account_id = p_actor and i.route = p_route and i.key = v_key;
    if v_row.body_hash <> v_hash then
        raise exception 'this Idempotency-Key was used with another body' using errcode = 'KN005';
    end if;
    return v_row.thing_id;
end
$$;
comment on function kiln.begin_once(bigint, text, text) is
'Takes the request''s Idempotency-Key. Null: go on and call kiln.end_once(); else the id of what an earlier request made.
KN005: the key was used with another body.';

create or replace function kiln.end_once(p_actor bigint, p_route text, p_thing_id bigint)
returns void
language plpgsql security definer
set search_path = ''
as $$
begin
    if nullif(current_setting('kiln.idempotency_key', true), '') is not null then
        update kiln.idempotency i set thing_id = p_thing_id
         where i.account_id = p_actor and i.route = p_route and i.key = current_setting('kiln.idempotency_key', true);
    end if;
end
$$;
comment on function kiln.end_once(bigint, text, bigint) is 'Remembers what a request with an Idempotency-Key made.';
