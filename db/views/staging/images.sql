-- Images of rooms, as people read them.
create or replace view kiln.images as
select i.job_id as id, i.project_id as project, j.state, i.mode, i.room_type as room,
       left(i.style, 12) as style, i.variations as n
  from kiln.image i
  join kiln.job j using (job_id)
 order by i.job_id desc
 limit 1000;
comment on view kiln.images is
'The newest 1,000 images of virtual staging. One with all columns: select * from kiln.image join kiln.job
using (job_id) where job_id = 42';
comment on column kiln.images.id is 'job_id.';
comment on column kiln.images.project is 'project_id.';
comment on column kiln.images.state is 'kiln.job.state.';
comment on column kiln.images.mode is 'stage, declutter or restyle.';
comment on column kiln.images.room is 'The type of the room.';
comment on column kiln.images.style is 'The style.';
comment on column kiln.images.n is 'How many variations.';
