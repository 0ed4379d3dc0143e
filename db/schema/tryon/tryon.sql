-- The category of each try-on.

-- Try-ons are few beside the calls that they pay for: each has a row that follows its job's state, so that
-- every list is an index range.
create table kiln.tryon (
    job_id   bigint         primary key,
    category text           not null,
    state    kiln.job_state not null default 'queued'
);
-- Each with an order that no other has, as kiln.job_end.
create index tryon_state_idx on kiln.tryon (state, (- job_id));
create index tryon_category_state_idx on kiln.tryon (category, state, (0 - job_id));
comment on table kiln.tryon is
'The category and state of each try-on, for lists: written by kiln.enqueue() and the moves of its job, deleted
with it.';
comment on column kiln.tryon.job_id is 'The job.';
comment on column kiln.tryon.category is 'kiln.category.name at that time.';
comment on column kiln.tryon.state is 'As its job''s.';
