-- Try-ons, as people read them.
create or replace view kiln.tryons as
select j.job_id as id, j.state, left(j.input ->> 'category', 10) as category,
       left(p.name, 9) || ' v' || v.version as pipeline,
       jsonb_array_length(j.input -> 'media') as media, j.parent_id as "of",
       left(coalesce(j.error_message, j.input ->> 'reason', j.input ->> 'prompt'), 11) as about
  from (select t.job_id from kiln.tryon t order by t.job_id desc limit 1000) t
  join kiln.job j using (job_id)
  join kiln.pipeline_version v using (pipeline_version_id)
  join kiln.pipeline p using (pipeline_id)
 order by j.job_id desc;
comment on view kiln.tryons is
'The newest 1,000 try-ons: category, pipeline version, state, and the error, the reason of a retry or the
prompt.';
comment on column kiln.tryons.id is 'job_id.';
comment on column kiln.tryons.state is 'kiln.job.state.';
comment on column kiln.tryons.category is 'kiln.category.name.';
comment on column kiln.tryons.pipeline is 'The pipeline and its version.';
comment on column kiln.tryons.media is 'How many pictures and films went in.';
comment on column kiln.tryons."of" is 'The job that it is to do better than.';
comment on column kiln.tryons.about is 'Its error, its reason, or its prompt.';
