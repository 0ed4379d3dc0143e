-- Queues, and pipelines as data: a pipeline is a name, a version of it is a list of stages that never changes
-- again, so a running job finishes on the version it began with.
create type kiln.media_type as enum ('image', 'video', 'audio');
comment on type kiln.media_type is 'What a file or a model''s result is.';

-- Stored files. A row commits only after its file is durable, and a file is removed only after its row: every
-- row has its file.
create type kiln.media_role as enum ('input', 'work', 'output');
comment on type kiln.media_role is 'input: uploaded; work: made by a stage for the next; output: a result.';

create type kiln.media_state as enum ('uploading', 'checking', 'ready', 'rejected');
comment on type kiln.media_state is
'uploading: a place was promised; checking: the bytes are said to be there, and a task looks at them; ready:
may be used; rejected: may not, and why stands in reason.';

-- Names of types. A browser names a file by its ending, a recorder by its coding, and both write old names:
-- what is meant is alias_of.
create table kiln.content_type (
    content_type text    primary key,
    alias_of     text    references kiln.content_type,
    file_ending  text,
    is_accepted  boolean not null default false,
    constraint content_type_form_check check (content_type
                                              ~ '^(image|video|audio|application)/[a-z0-9][a-z0-9.+-]*$'),
    constraint content_type_alias_check check ((alias_of is null) = (file_ending is not null)
                                               and (alias_of is null or not is_accepted)),
    constraint content_type_file_ending_check check (file_ending ~ '^[a-z0-9]{1,8}$')
);
comment on table kiln.content_type is
'Types of media (RFC 6838), the other names that programs have for them, and which an upload may have.';
comment on column kiln.content_type.content_type is 'The name, in small letters and without parameters.';
comment on column kiln.content_type.alias_of is 'The type that is meant by it; null: itself.';
comment on column kiln.content_type.file_ending is
'What names of such files end with, without the point; null for an alias.';
comment on column kiln.content_type.is_accepted is
'True: an upload may be of this type. What a runner cannot decode it rejects all the same.';
insert into kiln.content_type (content_type, file_ending, is_accepted) values
    ('image/png', 'png', true), ('image/jpeg', 'jpg', true), ('image/webp', 'webp', true),
       ('image/gif', 'gif', true),
    ('image/heic', 'heic', true), ('image/avif', 'avif', true),
    ('video/mp4', 'mp4', true), ('video/webm', 'webm', true), ('video/quicktime', 'mov', true),
       ('video/x-matroska', 'mkv', false),
    ('video/ogg', 'ogv', false),
    ('audio/mpeg', 'mp3', true), ('audio/wav', 'wav', true), ('audio/ogg', 'ogg', true),
       ('audio/mp4', 'm4a', true), ('audio/webm', 'weba', true),
    ('audio/flac', 'flac', false), ('audio/x-matroska', 'mka', false);
insert into kiln.content_type (content_type, alias_of) values
    ('image/jpg', 'image/jpeg'), ('image/pjpeg', 'image/jpeg'), ('image/x-png', 'image/png'),
       ('image/apng', 'image/png'),
    ('image/heif', 'image/heic'), ('image/heic-sequence', 'image/heic'),
       ('image/heif-sequence', 'image/heic'),
    ('video/x-m4v', 'video/mp4'), ('video/mov', 'video/quicktime'),
    ('audio/mp3', 'audio/mpeg'), ('audio/x-mp3', 'audio/mpeg'), ('audio/mpeg3', 'audio/mpeg'),
       ('audio/x-mpeg', 'audio/mpeg'),
    ('audio/x-wav', 'audio/wav'), ('audio/wave', 'audio/wav'), ('audio/vnd.wave', 'audio/wav'),
       ('audio/x-pn-wav', 'audio/wav'),
    ('audio/opus', 'audio/ogg'), ('application/ogg', 'audio/ogg'), ('audio/x-m4a', 'audio/mp4'),
       ('audio/m4a', 'audio/mp4');

create table kiln.media (
    media_id      bigint generated always as identity primary key,
    account_id    bigint           not null references kiln.account,
    job_id        bigint,
    role          kiln.media_role  not null,
    state         kiln.media_state not null,
    media_type    kiln.media_type  not null,
    content_type  text             not null,
    bytes         bigint           not null,
    sha256        bytea,
    width         int,
    height        int,
    duration_ms   bigint,
    storage_key   text unique,
    thumbnail_key text unique,
    clean_key     text unique,
    incoming_key  text unique,
    is_direct     boolean          not null default false,
    md5           bytea,
    check_job_id  bigint,
    reason        text,
    filename      text,
    created_at    timestamptz      not null default kiln_internal.now(),
    constraint media_checking_has_job_check check (state <> 'checking'
                                                   or (incoming_key is not null
                                                       and check_job_id is not null)),
    constraint media_rejected_has_reason_check check ((state = 'rejected') = (reason is not null)),
    constraint media_md5_check check (octet_length(md5) = 16),
    constraint media_incoming_key_check check (incoming_key ~ '^[0-9a-f]{2}/[0-9a-f]{30}$'),
    constraint media_ready_has_file_check check (state <> 'ready'
                                                 or (storage_key is not null and sha256 is not null)),
    constraint media_sha256_check check (octet_length(sha256) = 32),
    constraint media_bytes_check check (bytes >= 0),
    constraint media_storage_key_check check (storage_key ~ '^[0-9a-f]{2}/[0-9a-f]{30}$'),
    constraint media_clean_key_check check (clean_key ~ '^[0-9a-f]{2}/[0-9a-f]{30}$'),
    constraint media_thumbnail_key_check check (thumbnail_key ~ '^[0-9a-f]{2}/[0-9a-f]{30}$')
);
create index media_account_id_idx on kiln.media (account_id, media_id) include (bytes);
create index media_uploading_idx on kiln.media (created_at) where state = 'uploading';
create index media_job_id_idx on kiln.media (job_id) where job_id is not null;
comment on table kiln.media is 'A stored file with its facts. Deleting a row hands its file to kiln.trash.';
comment on column kiln.media.media_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.media.account_id is 'Whose it is.';
comment on column kiln.media.job_id is 'The job that made it; null for uploads.';
comment on column kiln.media.role is 'What it is to its job.';
comment on column kiln.media.state is 'Whether there is a file behind it yet.';
comment on column kiln.media.media_type is 'image, video or audio.';
comment on column kiln.media.content_type is 'Its MIME type, as found in the bytes.';
comment on column kiln.media.bytes is 'Its size; for one that is uploading, the size that was announced.';
comment on column kiln.media.sha256 is
'Of the bytes; of an upload that is not checked yet, of those that came (null where they went past the
server).';
comment on column kiln.media.width is 'Pixels, as shown (after EXIF orientation).';
comment on column kiln.media.height is 'Pixels, as shown.';
comment on column kiln.media.duration_ms is 'Milliseconds, of video and audio.';
comment on column kiln.media.storage_key is 'Where the store keeps it.';
comment on column kiln.media.thumbnail_key is 'Where the store keeps its small picture.';
comment on column kiln.media.clean_key is
'Where the store keeps the same picture without the label that was burnt in (variant clean; of the same
content type); null: there is no label.';
comment on column kiln.media.incoming_key is
'Where the store keeps the bytes as they were sent, until they are checked: nothing uses them but the check.';
comment on column kiln.media.is_direct is
'Whether the bytes are sent to the store itself (S3), past the server.';
comment on column kiln.media.md5 is 'What the sender said of the bytes; who takes them compares.';
comment on column kiln.media.check_job_id is
'The job of the pipeline upload that checks, or checked, what was sent.';
comment on column kiln.media.reason is 'Why it was rejected, as a sentence for its owner.';
comment on column kiln.media.filename is 'What the uploader called it; shown, never used as a path.';
comment on column kiln.media.created_at is 'When the row was made.';

create table kiln.trash (
    storage_key text primary key,
    since       timestamptz not null default kiln_internal.now()
);
comment on table kiln.trash is 'Files whose rows are gone: a runner removes them, then the row here.';
comment on column kiln.trash.storage_key is 'Where the store keeps it.';
comment on column kiln.trash.since is 'Since when it is to go.';
