-- Projects, their originals, and the images made of them.
create table kiln.project (
    project_id  bigint generated always as identity primary key,
    account_id  bigint      not null references kiln.account,
    name        text        not null,
    description text        not null default '',
    created_at  timestamptz not null default kiln_internal.now(),
    updated_at  timestamptz not null default kiln_internal.now(),
    deleted_at  timestamptz,
    constraint project_name_check check (kiln_internal.is_name(name, 200)),
    constraint project_description_check check (length(description) <= 4000)
);
create index project_account_id_idx on kiln.project (account_id, project_id) where deleted_at is null;
create index project_deleted_idx on kiln.project (project_id) where deleted_at is not null;
comment on table kiln.project is
'Pictures that belong together, a flat for instance, and what was made of them.';
comment on column kiln.project.project_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.project.account_id is 'Whose it is.';
comment on column kiln.project.name is 'Its name for people.';
comment on column kiln.project.description is 'What its owner says of it.';
comment on column kiln.project.created_at is 'When it was made.';
comment on column kiln.project.updated_at is 'When its name, description or pictures last changed.';
comment on column kiln.project.deleted_at is
'Since when it is gone for its owner; the row goes when its last image has ended
(kiln_internal.purge_project).';

-- An original is kept as long as a project has it: the foreign key refuses to delete the upload.
create table kiln.picture (
    picture_id bigint generated always as identity primary key,
    project_id bigint not null references kiln.project on delete cascade,
    media_id   bigint not null references kiln.media,
    account_id bigint not null,
    unique (project_id, media_id)
);
create index picture_media_id_idx on kiln.picture (media_id);
comment on table kiln.picture is
'The originals of a project: uploads, as they came. While a row is here, its upload cannot be deleted.';
comment on column kiln.picture.picture_id is 'The key; pictures are shown in this order.';
comment on column kiln.picture.project_id is 'The project.';
comment on column kiln.picture.media_id is 'The upload.';
comment on column kiln.picture.account_id is 'As its project''s.';

-- No foreign keys to style, room_type and staging_model: each would lock a row that every image shares. They
-- are never deleted.
create table kiln.image (
    job_id         bigint            primary key references kiln.job on delete cascade,
    project_id     bigint            not null,
    media_id       bigint            not null,
    account_id     bigint            not null,
    batch_id       bigint,
    mode           kiln.staging_mode not null,
    room_type      text              not null,
    style          text,
    style_asked    text,
    style_version  int,
    prompt_version int               not null,
    model          text              not null,
    variations     smallint          not null,
    disclosure     text,
    state          kiln.job_state    not null default 'queued',
    foreign key (project_id, media_id) references kiln.picture (project_id, media_id),
    constraint image_style_check check (mode = 'declutter' or style is not null),
    constraint image_style_version_check check ((style is null) = (style_version is null)),
    constraint image_variations_check check (variations between 1 and 4),
    constraint image_disclosure_check check (length(disclosure) between 1 and 200)
);
create index image_account_id_idx on kiln.image (account_id, job_id);
create index image_project_id_idx on kiln.image (project_id, job_id);
-- In an order that no other index has, as kiln.job_end.
create index image_account_state_idx on kiln.image (account_id, state, (- job_id));
create index image_project_state_idx on kiln.image (project_id, state, (- job_id));
create index image_original_idx on kiln.image (project_id, media_id);
create index image_batch_id_idx on kiln.image (batch_id) where batch_id is not null;
comment on table kiln.image is
'What a job of kind staging was asked for; goes with its job. The whole prompt and the seed stand in
kiln.job.input, the results in its output.';
comment on column kiln.image.job_id is 'The job, whose id is the image''s.';
comment on column kiln.image.project_id is 'The project.';
comment on column kiln.image.media_id is 'The original.';
comment on column kiln.image.account_id is 'As its job''s.';
comment on column kiln.image.batch_id is
'The first job of those that were made together, POST /projects/{id}/stage; null: made by itself.';
comment on column kiln.image.mode is 'What was to be done.';
comment on column kiln.image.room_type is 'kiln.room_type.name.';
comment on column kiln.image.style is
'The style that was taken, kiln.style.name, never an alias; null where mode declutter was asked for without
one.';
comment on column kiln.image.style_asked is 'The name that was asked for.';
comment on column kiln.image.style_version is 'Of its words, kiln.style_text.';
comment on column kiln.image.prompt_version is 'Of the prompt''s parts, kiln.staging_prompt.';
comment on column kiln.image.model is 'kiln.staging_model.name.';
comment on column kiln.image.variations is 'How many results were asked for.';
comment on column kiln.image.disclosure is 'What the label on the results says; null: the usual words.';
comment on column kiln.image.state is 'As its job''s: for lists by state.';
