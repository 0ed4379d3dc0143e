-- The second wall: a kiln_api function that forgets a check still sees and writes only what this list allows.
-- kiln_definer owns those functions and is bound by these policies. The owner of the tables is not, so views,
-- triggers and runners see all rows, and so does a person who was given the tables.
do $$
declare
    -- Rows of the account that acts; rows that an administrator's calls see; either.
    c_own   constant text := 'account_id = (select kiln_internal.acting_account())';
    c_admin constant text := '(select kiln_internal.acts_as_admin())';
    c_both  constant text := c_own || ' or ' || c_admin;
    v_row   record;
begin
    for v_row in
        select l.name, l.name || '_' || l.suffix as policy, l.visible, l.means
          from (values
            ('job', 'of_actor', c_both, 'The API sees the actor''s jobs; an admin''s calls see all.'),
            ('media', 'of_actor', c_both, 'The API sees the actor''s media; an admin''s calls see all.'),
            ('account', 'of_actor', c_both, 'The API sees the actor''s account; an admin''s calls see all.'),
            ('identity', 'of_actor', c_both,
             'The API sees the actor''s identities; an admin''s calls see all.'),
            ('api_key', 'of_actor', c_own, 'The API sees the actor''s keys, in an admin''s calls too.'),
            ('block', 'of_actor', c_own, 'The API sees whom the actor has blocked, not who has blocked it.'),
            ('invite', 'of_actor', c_own, 'The API sees the actor''s invitations.'),
            ('notification', 'of_actor', c_own, 'The API sees the actor''s notifications.'),
            ('share', 'of_actor', c_own, 'The API sees the actor''s shares; a visitor comes by a token.'),
            ('webhook_endpoint', 'of_actor', c_own, 'The API sees the actor''s webhook endpoints.'),
            ('delivery', 'of_actor', c_own, 'The API sees the actor''s deliveries.'),
            ('project', 'of_actor', c_own, 'The API sees the actor''s projects.'),
            ('picture', 'of_actor', c_own, 'The API sees the actor''s originals.'),
            ('image', 'of_actor', c_own, 'The API sees the actor''s images.'),
            ('announcement', 'of_admin', c_admin, 'An admin''s calls see announcements.'),
            ('category', 'of_admin', c_admin, 'An admin''s calls see categories: try-ons are theirs.'),
            -- Chat. An admin's call sees its own conversations, as anybody's.
            ('conversation', 'of_member', 'kiln_internal.visible_until(conversation_id) is not null',
             'The API sees conversations that the actor is or was a member of.'),
            ('member', 'of_member',
             c_own || ' or kiln_internal.visible_until(conversation_id) = 9223372036854775807',
             'The API sees the actor''s memberships, and all members where it is one.'),
            ('message', 'of_member', 'number <= kiln_internal.visible_until(conversation_id)',
             'The API sees the messages of the actor''s conversations, up to the moment when it left.')
          ) as l (name, suffix, visible, means)
    loop
        execute format('alter table kiln.%I enable row level security', v_row.name);
        execute format('drop policy if exists %I on kiln.%I', v_row.policy, v_row.name);
        execute format('create policy %I on kiln.%I for select to kiln_definer using (%s)',
                       v_row.policy, v_row.name, v_row.visible);
        execute format('comment on policy %I on kiln.%I is %L', v_row.policy, v_row.name, v_row.means);

        execute format('drop policy if exists %I on kiln.%I', v_row.name || '_for_people', v_row.name);
        execute format('create policy %I on kiln.%I to kiln_reader using (true) with check (true)',
                       v_row.name || '_for_people', v_row.name);
        execute format('comment on policy %I on kiln.%I is %L', v_row.name || '_for_people', v_row.name,
                       'People who were given the tables see all rows.');
    end loop;
end
$$;

-- The one table that kiln_definer writes itself: uploads that the server receives.
drop policy if exists media_by_actor on kiln.media;
create policy media_by_actor on kiln.media for insert to kiln_definer
    with check (account_id = (select kiln_internal.acting_account()));
comment on policy media_by_actor on kiln.media is 'The API makes media for the actor only.';
