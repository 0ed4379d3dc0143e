-- Files as clients see them.
create or replace function kiln_internal.render_media(p_media kiln.media)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    return jsonb_build_object(
        'id', p_media.media_id::text, 'media_type', p_media.media_type, 'state', p_media.state,
                              'content_type', p_media.content_type,
        'bytes', p_media.bytes, 'sha256', encode(p_media.sha256, 'hex'), 'width', p_media.width,
                              'height', p_media.height,
        'duration_ms', p_media.duration_ms,
        'url', case when p_media.state = 'ready' then kiln_internal.media_link(p_media.media_id) end,
        'thumbnail_url', case when p_media.thumbnail_key is not null
                                  then kiln_internal.media_link(p_media.media_id, 'thumbnail') end)
        || case when p_media.clean_key is null then '{}'
                else jsonb_build_object('clean_url', kiln_internal.media_link(p_media.media_id, 'clean')) end
        || case when p_media.reason is null then '{}' else jsonb_build_object('reason', p_media.reason) end;
end
$$;
comment on function kiln_internal.render_media(kiln.media) is
'Media, as their owner sees them; reason only where they were rejected, clean_url only where there is the same
without its label.';

create or replace function kiln_internal.render_media_list(p_account_id bigint, p_ids jsonb)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
    if p_ids is null or p_ids = '[]' or jsonb_typeof(p_ids) <> 'array' then
        return '[]';
    end if;
    return coalesce((select jsonb_agg(kiln_internal.render_media(m) order by i.n)
                       from (select g.n, p_ids ->> g.n as id
                               from generate_series(0, least(jsonb_array_length(p_ids), 100) - 1) as g (n)) i
                      cross join lateral (select x from kiln.media x
                                           where x.media_id = case when i.id ~ '^[0-9]{1,18}$'
                                                                       then i.id::bigint end
                                             and x.account_id = p_account_id limit 1) as l (m)), '[]');
end
$$;
comment on function kiln_internal.render_media_list(bigint, jsonb) is
'The media of an array of ids, the first hundred, as clients see them; what is gone is left out.';
