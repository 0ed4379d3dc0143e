-- The second wall: whatever a kiln_api function forgets to ask, it sees and writes only rows of the account that acts. The owner
-- of the tables is not subject to it, so the views keep working for people, and so do triggers and runners.
alter table kiln.job enable row level security;
alter table kiln.media enable row level security;

drop policy if exists job_of_actor on kiln.job;
create policy job_of_actor on kiln.job for select to kiln_definer
    using (account_id = (select kiln.acting_account()) or (select kiln.acts_as_admin()));
comment on policy job_of_actor on kiln.job is 'The API sees the actor''s jobs; an admin''s calls see all.';

drop policy if exists media_of_actor on kiln.media;
create policy media_of_actor on kiln.media for select to kiln_definer
    using (account_id = (select kiln.acting_account()) or (select kiln.acts_as_admin()));
comment on policy media_of_actor on kiln.media is 'The API sees the actor''s media; an admin''s calls see all.';

drop policy if exists media_by_actor on kiln.media;
create policy media_by_actor on kiln.media for insert to kiln_definer
    with check (account_id = (select kiln.acting_account()));
comment on policy media_by_actor on kiln.media is 'The API makes media for the actor only.';

drop policy if exists job_for_people on kiln.job;
create policy job_for_people on kiln.job to kiln_reader using (true) with check (true);
comment on policy job_for_people on kiln.job is 'People who were given the tables see all rows.';
drop policy if exists media_for_people on kiln.media;
create policy media_for_people on kiln.media to kiln_reader using (true) with check (true);
comment on policy media_for_people on kiln.media is 'People who were given the tables see all rows.';
