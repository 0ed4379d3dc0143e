-- Jobs that wait for files.

-- Jobs that wait for files to be checked: those of which the bytes came in the body of a request.
create table kiln.media_wait (
    job_id   bigint not null,
    media_id bigint not null references kiln.media on delete cascade,
    primary key (job_id, media_id)
);
create index media_wait_media_id_idx on kiln.media_wait (media_id);
comment on table kiln.media_wait is
'Which jobs wait for which files to be checked: a job starts when none is left, and ends when one is
rejected.';
comment on column kiln.media_wait.job_id is 'The job, queued, with a first task that is due at infinity.';
comment on column kiln.media_wait.media_id is 'One of its inputs, being checked.';
