-- Blocks.

-- Blocks.
create or replace function kiln_api.create_block(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
declare
    v_body jsonb := kiln_internal.parse_body(p_body);
    v_id   bigint;
begin
    perform kiln_internal.require_actor(p_actor);
    if coalesce(kiln_internal.plain_field(v_body, 'account_id'), '') !~ '^[0-9]{1,18}$'
       or kiln_internal.plain_field(v_body, 'account_id')::bigint = p_actor then
        perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{account_id}')
                                            || kiln_internal.field_error('/account_id',
                                                        'must be somebody else''s account'));
    end if;
    perform kiln_internal.refuse_fields(kiln_internal.unknown_fields(v_body, '{account_id}'));
    v_id := kiln_internal.begin_idempotent(p_actor, 'create_block', p_body);
    if v_id is null then
        v_id := (v_body ->> 'account_id')::bigint;
        perform kiln_internal.set_block(p_actor, v_id, true);
        perform kiln_internal.end_idempotent(p_actor, 'create_block', v_id);
    end if;
    return json_build_object('account_id', v_id::text);
end
$$;
comment on function kiln_api.create_block(bigint, jsonb, jsonb, text) is
'POST /blocks: {account_id}; twice is once. From then on neither writes to, finds or adds the other. KN002: no
account that one could find or has met.';

create or replace function kiln_api.list_blocks(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan
    = off
set enable_sort = off
as $$
declare
    v_page record;
    v_rows bigint[];
begin
    perform kiln_internal.require_actor(p_actor);
    v_page := kiln_internal.parse_page(p_query);
    v_rows := array(select b.blocked_id from kiln.block b
                     where b.account_id = p_actor and b.blocked_id < v_page.below
                     order by b.account_id desc, b.blocked_id desc limit v_page.page_limit + 1);
    return kiln_internal.render_page(
        (select json_agg(kiln_internal.render_person(b)) from unnest(v_rows[:v_page.page_limit]) as b),
        kiln_internal.last_of_page(v_rows, v_page.page_limit));
end
$$;
comment on function kiln_api.list_blocks(bigint, jsonb, jsonb, text) is
'GET /blocks: whom the actor has blocked.';

create or replace function kiln_api.delete_block(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln_internal.set_block(p_actor, kiln_internal.parse_id(p_path ->> 'id'), false);
    return null;
end
$$;
comment on function kiln_api.delete_block(bigint, jsonb, jsonb, text) is
'DELETE /blocks/{account id}: no longer; twice is once.';
