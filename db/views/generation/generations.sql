-- Generations, as people read them.
create or replace view kiln.generations as
select j.job_id as id, left(a.handle, 12) as account, j.media_type as type, j.state,
       left(m.name, 14) as model, left(j.input ->> 'prompt', 14) as prompt
  from kiln_internal.newest_jobs('generation', 1000) j
  join kiln.account a using (account_id)
  left join kiln.model m using (model_id)
 order by j.job_id desc;
comment on view kiln.generations is
'The newest 1,000 generations: account, model, state and prompt. All: kiln.job. The history of one: select *
from kiln.attempts where job = 42';
comment on column kiln.generations.id is 'job_id.';
comment on column kiln.generations.account is 'Whose.';
comment on column kiln.generations.type is 'What comes out.';
comment on column kiln.generations.state is 'kiln.job.state.';
comment on column kiln.generations.model is 'The model.';
comment on column kiln.generations.prompt is 'The beginning of its prompt.';
