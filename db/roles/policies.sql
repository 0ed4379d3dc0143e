-- The second wall: whatever a kiln_api function forgets to ask, it sees and writes only rows of the account that acts. The owner
-- of the tables is not subject to it, so the views keep working for people, and so do triggers and runners.
alter table kiln.job enable row level security;
alter table kiln.media enable row level security;

drop policy if exists job_of_actor on kiln.job;
create policy job_of_actor on kiln.job for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()) or (select kiln_internal.acts_as_admin()));
comment on policy job_of_actor on kiln.job is 'The API sees the actor''s jobs; an admin''s calls see all.';

drop policy if exists media_of_actor on kiln.media;
create policy media_of_actor on kiln.media for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()) or (select kiln_internal.acts_as_admin()));
comment on policy media_of_actor on kiln.media is 'The API sees the actor''s media; an admin''s calls see all.';

drop policy if exists media_by_actor on kiln.media;
create policy media_by_actor on kiln.media for insert to kiln_definer
    with check (account_id = (select kiln_internal.acting_account()));
comment on policy media_by_actor on kiln.media is 'The API makes media for the actor only.';

alter table kiln.account enable row level security;
drop policy if exists account_of_actor on kiln.account;
create policy account_of_actor on kiln.account for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()) or (select kiln_internal.acts_as_admin()));
comment on policy account_of_actor on kiln.account is 'The API sees the actor''s account; an admin''s calls see all.';
drop policy if exists account_for_people on kiln.account;
create policy account_for_people on kiln.account to kiln_reader using (true) with check (true);
comment on policy account_for_people on kiln.account is 'People who were given the tables see all rows.';

alter table kiln.identity enable row level security;
drop policy if exists identity_of_actor on kiln.identity;
create policy identity_of_actor on kiln.identity for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()) or (select kiln_internal.acts_as_admin()));
comment on policy identity_of_actor on kiln.identity is 'The API sees the actor''s identities; an admin''s calls see all.';
drop policy if exists identity_for_people on kiln.identity;
create policy identity_for_people on kiln.identity to kiln_reader using (true) with check (true);
comment on policy identity_for_people on kiln.identity is 'People who were given the tables see all rows.';

drop policy if exists job_for_people on kiln.job;
create policy job_for_people on kiln.job to kiln_reader using (true) with check (true);
comment on policy job_for_people on kiln.job is 'People who were given the tables see all rows.';
drop policy if exists media_for_people on kiln.media;
create policy media_for_people on kiln.media to kiln_reader using (true) with check (true);
comment on policy media_for_people on kiln.media is 'People who were given the tables see all rows.';

-- Chat: who is or was a member, and what was said up to its leaving. Not an admin: its call sees its own conversations.

alter table kiln.conversation enable row level security;
drop policy if exists conversation_of_member on kiln.conversation;
create policy conversation_of_member on kiln.conversation for select to kiln_definer
    using (kiln_internal.visible_until(conversation_id) is not null);
comment on policy conversation_of_member on kiln.conversation is 'The API sees conversations the actor is or was a member of.';
drop policy if exists conversation_for_people on kiln.conversation;
create policy conversation_for_people on kiln.conversation to kiln_reader using (true) with check (true);
comment on policy conversation_for_people on kiln.conversation is 'People who were given the tables see all rows.';

alter table kiln.member enable row level security;
drop policy if exists member_of_member on kiln.member;
create policy member_of_member on kiln.member for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()) or kiln_internal.visible_until(conversation_id) = 9223372036854775807);
comment on policy member_of_member on kiln.member is 'The API sees the actor''s memberships, and who else is where it is a member.';
drop policy if exists member_for_people on kiln.member;
create policy member_for_people on kiln.member to kiln_reader using (true) with check (true);
comment on policy member_for_people on kiln.member is 'People who were given the tables see all rows.';

alter table kiln.message enable row level security;
drop policy if exists message_of_member on kiln.message;
create policy message_of_member on kiln.message for select to kiln_definer
    using (number <= kiln_internal.visible_until(conversation_id));
comment on policy message_of_member on kiln.message is 'The API sees what the members of a conversation may: who has left, up to then.';
drop policy if exists message_for_people on kiln.message;
create policy message_for_people on kiln.message to kiln_reader using (true) with check (true);
comment on policy message_for_people on kiln.message is 'People who were given the tables see all rows.';

alter table kiln.block enable row level security;
drop policy if exists block_of_actor on kiln.block;
create policy block_of_actor on kiln.block for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy block_of_actor on kiln.block is 'The API sees whom the actor has blocked, not who has blocked it.';
drop policy if exists block_for_people on kiln.block;
create policy block_for_people on kiln.block to kiln_reader using (true) with check (true);
comment on policy block_for_people on kiln.block is 'People who were given the tables see all rows.';

alter table kiln.invite enable row level security;
drop policy if exists invite_of_actor on kiln.invite;
create policy invite_of_actor on kiln.invite for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy invite_of_actor on kiln.invite is 'The API sees the actor''s invitations.';
drop policy if exists invite_for_people on kiln.invite;
create policy invite_for_people on kiln.invite to kiln_reader using (true) with check (true);
comment on policy invite_for_people on kiln.invite is 'People who were given the tables see all rows.';

alter table kiln.notification enable row level security;
drop policy if exists notification_of_actor on kiln.notification;
create policy notification_of_actor on kiln.notification for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy notification_of_actor on kiln.notification is 'The API sees the actor''s notifications.';
drop policy if exists notification_for_people on kiln.notification;
create policy notification_for_people on kiln.notification to kiln_reader using (true) with check (true);
comment on policy notification_for_people on kiln.notification is 'People who were given the tables see all rows.';

alter table kiln.announcement enable row level security;
drop policy if exists announcement_of_admin on kiln.announcement;
create policy announcement_of_admin on kiln.announcement for select to kiln_definer
    using ((select kiln_internal.acts_as_admin()));
comment on policy announcement_of_admin on kiln.announcement is 'An admin''s calls see announcements.';
drop policy if exists announcement_for_people on kiln.announcement;
create policy announcement_for_people on kiln.announcement to kiln_reader using (true) with check (true);
comment on policy announcement_for_people on kiln.announcement is 'People who were given the tables see all rows.';

alter table kiln.category enable row level security;
drop policy if exists category_of_admin on kiln.category;
create policy category_of_admin on kiln.category for select to kiln_definer
    using ((select kiln_internal.acts_as_admin()));
comment on policy category_of_admin on kiln.category is 'An admin''s calls see categories: try-ons are theirs.';
drop policy if exists category_for_people on kiln.category;
create policy category_for_people on kiln.category to kiln_reader using (true) with check (true);
comment on policy category_for_people on kiln.category is 'People who were given the tables see all rows.';

alter table kiln.api_key enable row level security;
drop policy if exists api_key_of_actor on kiln.api_key;
create policy api_key_of_actor on kiln.api_key for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy api_key_of_actor on kiln.api_key is 'The API sees the actor''s keys, an admin''s calls too.';
drop policy if exists api_key_for_people on kiln.api_key;
create policy api_key_for_people on kiln.api_key to kiln_reader using (true) with check (true);
comment on policy api_key_for_people on kiln.api_key is 'People who were given the tables see all rows.';

alter table kiln.share enable row level security;
drop policy if exists share_of_actor on kiln.share;
create policy share_of_actor on kiln.share for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy share_of_actor on kiln.share is 'The API sees the actor''s shares, an admin''s calls too; who opens one goes by its token.';
drop policy if exists share_for_people on kiln.share;
create policy share_for_people on kiln.share to kiln_reader using (true) with check (true);
comment on policy share_for_people on kiln.share is 'People who were given the tables see all rows.';

alter table kiln.webhook_endpoint enable row level security;
drop policy if exists webhook_endpoint_of_actor on kiln.webhook_endpoint;
create policy webhook_endpoint_of_actor on kiln.webhook_endpoint for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy webhook_endpoint_of_actor on kiln.webhook_endpoint is 'The API sees the actor''s webhook endpoints, an admin''s calls too.';
drop policy if exists webhook_endpoint_for_people on kiln.webhook_endpoint;
create policy webhook_endpoint_for_people on kiln.webhook_endpoint to kiln_reader using (true) with check (true);
comment on policy webhook_endpoint_for_people on kiln.webhook_endpoint is 'People who were given the tables see all rows.';

alter table kiln.delivery enable row level security;
drop policy if exists delivery_of_actor on kiln.delivery;
create policy delivery_of_actor on kiln.delivery for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy delivery_of_actor on kiln.delivery is 'The API sees the actor''s deliveries, an admin''s calls too.';
drop policy if exists delivery_for_people on kiln.delivery;
create policy delivery_for_people on kiln.delivery to kiln_reader using (true) with check (true);
comment on policy delivery_for_people on kiln.delivery is 'People who were given the tables see all rows.';

alter table kiln.project enable row level security;
drop policy if exists project_of_actor on kiln.project;
create policy project_of_actor on kiln.project for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy project_of_actor on kiln.project is 'The API sees the actor''s projects, an admin''s calls too.';
drop policy if exists project_for_people on kiln.project;
create policy project_for_people on kiln.project to kiln_reader using (true) with check (true);
comment on policy project_for_people on kiln.project is 'People who were given the tables see all rows.';

alter table kiln.picture enable row level security;
drop policy if exists picture_of_actor on kiln.picture;
create policy picture_of_actor on kiln.picture for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy picture_of_actor on kiln.picture is 'The API sees the actor''s originals, an admin''s calls too.';
drop policy if exists picture_for_people on kiln.picture;
create policy picture_for_people on kiln.picture to kiln_reader using (true) with check (true);
comment on policy picture_for_people on kiln.picture is 'People who were given the tables see all rows.';

alter table kiln.image enable row level security;
drop policy if exists image_of_actor on kiln.image;
create policy image_of_actor on kiln.image for select to kiln_definer
    using (account_id = (select kiln_internal.acting_account()));
comment on policy image_of_actor on kiln.image is 'The API sees the actor''s images, an admin''s calls too.';
drop policy if exists image_for_people on kiln.image;
create policy image_for_people on kiln.image to kiln_reader using (true) with check (true);
comment on policy image_for_people on kiln.image is 'People who were given the tables see all rows.';
