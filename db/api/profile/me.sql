-- The account of whoever asks.

-- Not stable, as little as the others that show an account to itself: a first call makes the account in the
-- same statement, and a stable function would not see it.
create or replace function kiln_api.get_me(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account kiln.account;
begin
    perform kiln_internal.require_actor(p_actor);
    select a.* into v_account from kiln.account a where a.account_id = p_actor;
    return kiln_internal.render_account(v_account);
end
$$;
comment on function kiln_api.get_me(bigint, jsonb, jsonb, text) is
'GET /me: the profile, with the balance; plan is null as long as there are none.';

create or replace function kiln_api.update_me(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account kiln.account;
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln.update_account(p_actor, kiln_internal.parse_body(p_body));
    select a.* into v_account from kiln.account a where a.account_id = p_actor;
    return kiln_internal.render_account(v_account);
end
$$;
comment on function kiln_api.update_me(bigint, jsonb, jsonb, text) is
'PATCH /me: {handle?, display_name?, email?, notify_email?, show_presence?}; null empties a text. KN003 names
the field.';

create or replace function kiln_api.send_confirmation(p_actor bigint, p_path jsonb, p_query jsonb,
                                                      p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_account kiln.account;
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln_internal.ask_confirmation(p_actor);
    select a.* into v_account from kiln.account a where a.account_id = p_actor;
    return kiln_internal.render_account(v_account);
end
$$;
comment on function kiln_api.send_confirmation(bigint, jsonb, jsonb, text) is
'POST /me/email/confirmation: mails the link that proves the address again; of one that is proven nothing.
KN001: no address, no mail here, or its reader wants none. KN007: enough for today.';

create or replace function kiln_api.delete_me(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = ''
as $$
begin
    perform kiln_internal.require_actor(p_actor);
    perform kiln.delete_account(p_actor);
    return null;
end
$$;
comment on function kiln_api.delete_me(bigint, jsonb, jsonb, text) is
'DELETE /me: kiln.delete_account(); no token of today opens anything any more.';

-- A section at a time, so that an answer has a bound however much there is; without ?section= the first page
-- of each.
create or replace function kiln_api.export_me(p_actor bigint, p_path jsonb, p_query jsonb, p_body text)
returns json
language plpgsql security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    c_page     constant int := 500;
    c_sections constant text[] := '{generations,projects,media,messages,notifications,ledger,shares,api_keys,'
                                  'webhook_endpoints,blocks,invites,conversations}';
    v_wanted   text := p_query ->> 'section';
    v_before   bigint := (kiln_internal.parse_page(p_query - 'limit')).below;
    v_parts    jsonb := '{}';
    v_section  text;
    v_items    jsonb;
    v_ids      bigint[];
begin
    perform kiln_internal.require_actor(p_actor);
    if v_wanted is not null and v_wanted <> all (c_sections) then
        raise exception 'section must be one of %', array_to_string(c_sections, ', ') using errcode = 'KN006';
    elsif v_wanted is null and p_query ? 'cursor' then
        raise exception 'a cursor belongs to a section: say which' using errcode = 'KN006';
    end if;
    foreach v_section in array case when v_wanted is null then c_sections else array[v_wanted] end
    loop
        if v_section = 'generations' then
            select array_agg(x.job_id order by x.job_id desc), jsonb_agg(x.item order by x.job_id desc)
              into v_ids, v_items
              from (select j.job_id, kiln_internal.render_job(j)::jsonb as item from kiln.job j
                     where j.account_id = p_actor and j.job_id < v_before order by j.job_id desc
                     limit c_page + 1) x;
        elsif v_section = 'notifications' then
            select array_agg(x.notification_id order by x.notification_id desc), jsonb_agg(x.item
                                                        order by x.notification_id desc) into v_ids, v_items
              from (select n.notification_id, kiln_internal.render_notification(n) as item
                      from kiln.notification n
                     where n.account_id = p_actor and n.notification_id < v_before
                     order by n.notification_id desc limit c_page + 1) x;
        else
            select x.ids, x.items into v_ids, v_items
              from kiln_internal.export_section(p_actor, v_section, v_before, c_page + 1) x;
        end if;
        v_parts := v_parts || jsonb_build_object(v_section, jsonb_build_object(
            'items', coalesce(case when cardinality(v_ids) > c_page then v_items - c_page else v_items end,
                              '[]'),
            'next_cursor', case when cardinality(v_ids) > c_page
                                    then kiln_internal.render_cursor(v_ids[c_page]) end));
    end loop;
    return jsonb_build_object('exported_at', kiln_internal.render_time(kiln_internal.now()),
                              'account', (select kiln_internal.render_account(a) from kiln.account a
                                           where a.account_id = p_actor),
                              'identities', coalesce((select jsonb_agg(kiln_internal.render_identity(i)
                                                                       order by i.identity_id)
                                                        from kiln.identity i where i.account_id = p_actor),
                                                     '[]'),
                              'sections', v_parts);
end
$$;
comment on function kiln_api.export_me(bigint, jsonb, jsonb, text) is
'GET /me/export?section=&cursor=: profile, identities, and what the account made, wrote, was told and paid,
whom it blocks or invites, where it takes part (not who else does, nor what others wrote). Without section the
first 500 of each; where a section''s next_cursor is not null, ask on with it.';

create or replace function kiln_internal.export_section(p_account_id bigint, p_section text, p_before bigint,
                                                        p_limit int, out ids bigint[], out items jsonb)
language plpgsql stable security definer
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    perform kiln_internal.guard_own(p_account_id);
    if p_section = 'ledger' then
        select array_agg(l.ledger_id order by l.ledger_id desc),
               jsonb_agg(jsonb_build_object('id', l.ledger_id::text, 'kind', l.kind,
                                            'amount', l.amount_micros, 'currency', c.currency,
                                            'job_id', l.job_id::text, 'note', l.note,
                                            'at', kiln_internal.render_time(l.at)) order by l.ledger_id desc)
          into ids, items
          from (select x.* from kiln.ledger x where x.account_id = p_account_id and x.ledger_id < p_before
                 order by x.account_id desc, x.ledger_id desc limit p_limit) l, kiln.config c;
    elsif p_section = 'projects' then
        select array_agg(p.project_id order by p.project_id desc),
               jsonb_agg(jsonb_build_object('id', p.project_id::text, 'name', p.name,
                                            'description', p.description,
                                            'media', (select coalesce(jsonb_agg(c.media_id::text
                                                        order by c.picture_id), '[]') from kiln.picture c
                                                       where c.project_id = p.project_id),
                                            'images', (select coalesce(jsonb_agg(i.job_id::text
                                                        order by i.job_id), '[]') from kiln.image i
                                                        where i.project_id = p.project_id),
                                            'created_at', kiln_internal.render_time(p.created_at))
                         order by p.project_id desc)
          into ids, items
          from (select x.* from kiln.project x where x.account_id = p_account_id and x.project_id < p_before
                   and x.deleted_at is null order by x.account_id desc, x.project_id desc limit p_limit) p;
    elsif p_section = 'media' then
        select array_agg(m.media_id order by m.media_id desc), jsonb_agg(kiln_internal.render_media(m)
                                                        order by m.media_id desc)
          into ids, items
          from (select x.* from kiln.media x where x.account_id = p_account_id and x.media_id < p_before
                 order by x.account_id desc, x.media_id desc limit p_limit) m;
    elsif p_section = 'shares' then
        select array_agg(s.share_id order by s.share_id desc), jsonb_agg(kiln_internal.render_share(s)
                                                        order by s.share_id desc)
          into ids, items
          from (select x.* from kiln.share x where x.account_id = p_account_id and x.share_id < p_before
                 order by x.account_id desc, x.share_id desc limit p_limit) s;
    elsif p_section = 'api_keys' then
        select array_agg(k.api_key_id order by k.api_key_id desc), jsonb_agg(kiln_internal.render_api_key(k)
                                                        order by k.api_key_id desc)
          into ids, items
          from (select x.* from kiln.api_key x where x.account_id = p_account_id and x.api_key_id < p_before
                 order by x.account_id desc, x.api_key_id desc limit p_limit) k;
    elsif p_section = 'webhook_endpoints' then
        select array_agg(e.webhook_endpoint_id order by e.webhook_endpoint_id desc),
               jsonb_agg(kiln_internal.render_endpoint(e) order by e.webhook_endpoint_id desc)
          into ids, items
          from (select x.* from kiln.webhook_endpoint x
                 where x.account_id = p_account_id and x.webhook_endpoint_id < p_before
                 order by x.account_id desc, x.webhook_endpoint_id desc limit p_limit) e;
    elsif p_section = 'blocks' then
        select array_agg(b.blocked_id order by b.blocked_id desc),
               jsonb_agg(kiln_internal.render_person(b.blocked_id) order by b.blocked_id desc)
          into ids, items
          from (select x.blocked_id from kiln.block x where x.account_id = p_account_id
                   and x.blocked_id < p_before order by x.account_id desc, x.blocked_id desc limit p_limit) b;
    elsif p_section = 'invites' then
        select array_agg(i.invite_id order by i.invite_id desc),
               jsonb_agg(jsonb_build_object('id', i.invite_id::text,
                                            'conversation_id', i.conversation_id::text,
                                            'expires_at', kiln_internal.render_time(i.expires_at),
                                            'revoked_at', kiln_internal.render_time(i.revoked_at),
                                            'created_at', kiln_internal.render_time(i.created_at))
                         order by i.invite_id desc)
          into ids, items
          from (select x.* from kiln.invite x where x.account_id = p_account_id and x.invite_id < p_before
                 order by x.account_id desc, x.invite_id desc limit p_limit) i;
    elsif p_section = 'conversations' then
        select array_agg(m.conversation_id order by m.conversation_id desc),
               jsonb_agg(jsonb_build_object('id', m.conversation_id::text, 'is_group', c.is_group,
                                            'title', c.title,
                                            'joined_at', kiln_internal.render_time(m.joined_at),
                                            'has_left', m.until_number is not null,
                                            'read_number', m.read_number) order by m.conversation_id desc)
          into ids, items
          from (select x.* from kiln.member x where x.account_id = p_account_id
                   and x.conversation_id < p_before order by x.account_id desc, x.conversation_id desc
                 limit p_limit) m
          join kiln.conversation c using (conversation_id);
    else
        select array_agg(m.message_id order by m.message_id desc),
               jsonb_agg(jsonb_build_object('id', m.message_id::text,
                                            'conversation_id', m.conversation_id::text, 'text', m.text,
                                            'media', (select coalesce(jsonb_agg(x::text), '[]')
                                                        from unnest(m.media) as x),
                                            'created_at', kiln_internal.render_time(m.created_at))
                         order by m.message_id desc)
          into ids, items
          from (select x.* from kiln.message x where x.account_id = p_account_id and x.message_id < p_before
                 order by x.account_id desc, x.message_id desc limit p_limit) m;
    end if;
end
$$;
comment on function kiln_internal.export_section(bigint, text, bigint, int) is
'A page of an account''s ledger, projects, media, shares, API keys and webhook endpoints (without their
secrets), of whom it blocks, of its invitations (without their tokens), of the conversations it is or was in,
or of the messages it wrote, newest first.';
