-- Queues, and pipelines as data: a pipeline is a name, a version of it is a list of stages that never changes again,
-- so a running job finishes on the version it began with.
create type kiln.media_type as enum ('image', 'video', 'audio');
comment on type kiln.media_type is 'What a file or a model''s result is.';

create table kiln.queue (
    queue_id    smallint generated always as identity primary key,
    name        text     not null unique,
    is_paused   boolean  not null default false,
    max_running int,
    rate_per_minute int,
    rate_burst  int      not null default 1,
    description text     not null default '',
    constraint queue_name_check check (name ~ '^[a-z][a-z0-9_-]{0,39}$'),
    constraint queue_max_running_check check (max_running >= 1),
    constraint queue_rate_check check (rate_per_minute >= 1 and rate_burst >= 1 and (rate_burst < rate_per_minute or rate_per_minute = 1 and rate_burst = 1))
);
comment on table kiln.queue is 'Where tasks wait. Pause one with kiln.pause_queue(name): what runs goes on, nothing new starts.';
comment on column kiln.queue.queue_id is 'The key, small since it stands in every hot row.';
comment on column kiln.queue.name is 'Named in a stage and in a runner''s --queues.';
comment on column kiln.queue.is_paused is 'While true, nothing is claimed from it.';
comment on column kiln.queue.max_running is 'At most so many of its tasks run at once, over all runners; null: as many as there are slots.';
comment on column kiln.queue.rate_per_minute is 'At most so many of its tasks start in any 60 seconds, over all runners; null: no limit.';
comment on column kiln.queue.rate_burst is 'How many of these may start at once after a quiet time; less than rate_per_minute.';
comment on column kiln.queue.description is 'What it is for.';

-- One row a queue, locked by who claims from a limited one.
create table kiln.queue_limiter (
    queue_id smallint    primary key references kiln.queue on delete cascade,
    theoretical_arrival_at  timestamptz not null default '-infinity'
) with (fillfactor = 20);
comment on table kiln.queue_limiter is 'The limiter of a limited queue: claimers pass it one by one, count what runs, and take what is left.';
comment on column kiln.queue_limiter.queue_id is 'The queue.';
comment on column kiln.queue_limiter.theoretical_arrival_at is 'When its rate is wholly free again (the theoretical arrival time of GCRA).';

-- The low watermark of a queue and priority: claimers look only above it, past the rows that a long transaction keeps dead.
create table kiln.low_watermark (
    queue_id smallint not null references kiln.queue on delete cascade,
    priority smallint not null,
    virtual_time       bigint   not null default 0,
    next_virtual_time  bigint   not null default 0,
    max_virtual_time   bigint   not null default 0,
    seen_job bigint   not null default 0,
    moved_at timestamptz not null default kiln_internal.now(),
    is_paused boolean not null default false,
    primary key (queue_id, priority),
    constraint low_watermark_priority_check check (priority between 0 and 3),
    constraint low_watermark_order_check check (virtual_time <= next_virtual_time)
) with (fillfactor = 20);
comment on table kiln.low_watermark is 'Where claims of a queue and priority begin. Only the tick moves it, and only upwards.';
comment on column kiln.low_watermark.queue_id is 'The queue.';
comment on column kiln.low_watermark.priority is '3 is served first, 0 last.';
comment on column kiln.low_watermark.virtual_time is 'Claims scan turns above this one. The tick rescues what is committed below it.';
comment on column kiln.low_watermark.is_paused is 'As its queue''s: claims read it here.';
comment on column kiln.low_watermark.next_virtual_time is 'The lowest waiting turn one tick ago: it becomes virtual_time, and new turns begin above it, so that an enqueue in flight is not overtaken by the low watermark.';
comment on column kiln.low_watermark.max_virtual_time is 'No turn above this was given by the time that seen_job was the newest job; each job since may have added one. An empty queue''s low watermark goes there.';
comment on column kiln.low_watermark.seen_job is 'See max_virtual_time.';
comment on column kiln.low_watermark.moved_at is 'When it was last written: small steps wait for ten seconds, so that a long transaction does not make a chain of its versions.';

-- What a stage may name; a runner knows exactly these.
create table kiln.handler (
    name          text  primary key,
    description   text  not null,
    config_schema jsonb not null,
    constraint handler_config_schema_check check (config_schema ->> 'type' = 'object')
);
comment on table kiln.handler is 'What runners can do with a task; a stage that names another is refused when it is written.';
comment on column kiln.handler.name is 'Named in kiln.stage.handler.';
comment on column kiln.handler.description is 'What it does and which configuration it reads.';
comment on column kiln.handler.config_schema is 'JSON Schema of a stage''s config (the part that kiln_internal.check_schema knows); a stage is held against it when it is written.';
insert into kiln.handler (name, description, config_schema) values
    ('log',   'Logs its input and hands it on: the first thing one tries.', '{"type": "object"}'),
    -- A tool is given its whole config, so keys of its own may stand beside these.
    ('exec',  'Runs a command of the operator''s tools in a private folder: {"command": ["name", "arg"], "network": false, "memory_mb": 2048}.',
     '{"type": "object", "required": ["command"], "properties": {
        "command": {"type": "array", "minItems": 1, "maxItems": 63, "items": {"type": "string"}},
        "network": {"type": "boolean"},
        "memory_mb": {"type": "integer", "minimum": 16, "maximum": 262144}}}'),
    ('media', 'Runs an operation of kiln-media in a private folder: {"op": "check|prepare|draw|film|speak|finish|furnish|disclose"}.',
     '{"type": "object", "additionalProperties": false, "required": ["op"], "properties": {
        "op": {"type": "string", "enum": ["check", "prepare", "draw", "film", "speak", "finish", "furnish", "disclose"]},
        "accept": {"type": "array", "uniqueItems": true, "items": {"type": "string", "enum": ["image", "video", "audio"]}},
        "max_pixels": {"type": "integer", "minimum": 1},
        "max_side": {"type": "integer", "minimum": 256, "maximum": 8192},
        "max_duration_s": {"type": "integer", "minimum": 1},
        "text": {"type": "string", "minLength": 1, "maxLength": 200},
        "memory_mb": {"type": "integer", "minimum": 16, "maximum": 262144}}}'),
    ('http',  'Asks a provider: {"provider": "fal", "endpoint": "fal-ai/flux/dev", "body": {"prompt": "{prompt}"}, "outputs": [{"pointer": "/images/*/url", "as": "url", "media_type": "image"}]}. docs/providers.md',
     '{"type": "object", "additionalProperties": false, "required": ["provider", "outputs"], "properties": {
        "provider": {"type": "string"},
        "endpoint": {"type": "string", "minLength": 1, "maxLength": 200},
        "version": {"type": "string"},
        "role": {"type": "string", "enum": ["output", "work"]},
        "body": {},
        "outputs": {"type": "array", "maxItems": 64, "items": {"type": "object", "additionalProperties": false, "required": ["as", "media_type"], "properties": {
            "pointer": {"type": "string"},
            "as": {"type": "string", "enum": ["url", "base64", "data", "binary"]},
            "media_type": {"type": "string", "enum": ["image", "video", "audio"]},
            "may_be_empty": {"type": "boolean"}}}},
        "keep": {"type": "object"},
        "carry": {"type": "array", "items": {"type": "string"}},
        "blocked": {"type": "array", "items": {"type": "string"}},
        "on_unknown": {"type": "string", "enum": ["hold", "retry"]},
        "media_as": {"type": "string", "enum": ["data_uri", "base64"]}}}');

create table kiln.pipeline (
    pipeline_id smallint generated always as identity primary key,
    name        text not null unique,
    description text not null default '',
    pipeline_version_id int,
    stages      smallint not null default 0,
    queue_id    smallint,
    constraint pipeline_name_check check (name ~ '^[a-z][a-z0-9._/-]{0,59}$')
);
comment on table kiln.pipeline is 'A named way to make something. What it does stands in its newest version.';
comment on column kiln.pipeline.pipeline_id is 'The key.';
comment on column kiln.pipeline.name is 'Named by models and by kiln.enqueue().';
comment on column kiln.pipeline.description is 'One sentence for people.';
comment on column kiln.pipeline.pipeline_version_id is 'The version that new jobs take: the newest, set by a trigger when it is written, or an older one of its own to go back to. Null: none yet.';
comment on column kiln.pipeline.stages is 'How many stages that version has.';
comment on column kiln.pipeline.queue_id is 'The queue of its first stage.';

create table kiln.pipeline_version (
    pipeline_version_id int      generated always as identity primary key,
    pipeline_id         smallint not null references kiln.pipeline on delete cascade,
    version             int      not null,
    xid                 xid8     not null default kiln_internal.log_xid(),
    created_at          timestamptz not null default kiln_internal.now(),
    unique (pipeline_id, version),
    constraint pipeline_version_number_check check (version >= 1)
);
comment on table kiln.pipeline_version is
'A version of a pipeline: written with its stages in one transaction, then frozen. New jobs take the newest.
To change a pipeline: begin; select kiln.new_pipeline_version(''image''); insert, update or delete its stages; commit.';
comment on column kiln.pipeline_version.pipeline_version_id is 'The key; a job keeps the one it began with.';
comment on column kiln.pipeline_version.pipeline_id is 'The pipeline.';
comment on column kiln.pipeline_version.version is '1, 2, 3 …';
comment on column kiln.pipeline_version.xid is 'The transaction that wrote it, as the log numbers it; only that one may still change its stages.';
comment on column kiln.pipeline_version.created_at is 'When it was written.';

create table kiln.stage (
    pipeline_version_id int      not null references kiln.pipeline_version on delete cascade,
    position            smallint not null,
    name                text     not null,
    handler             text     not null references kiln.handler,
    config              jsonb    not null default '{}',
    queue_id            smallint not null references kiln.queue,
    time_limit          interval not null default '5 minutes',
    max_attempts        smallint not null default 3,
    backoff_base        interval not null default '2 seconds',
    backoff_cap         interval not null default '5 minutes',
    primary key (pipeline_version_id, position) deferrable initially deferred,
    unique (name, pipeline_version_id) deferrable initially deferred,       -- the name first, else the planner takes this index, whole, for a look at one stage
    constraint stage_position_check check (position between 1 and 99),
    constraint stage_name_check check (name ~ '^[a-z][a-z0-9_-]{0,39}$'),
    constraint stage_config_check check (jsonb_typeof(config) = 'object'),
    constraint stage_time_limit_check check (time_limit between '100 milliseconds' and '24 hours'),
    constraint stage_max_attempts_check check (max_attempts between 1 and 100),
    constraint stage_backoff_check check (backoff_base >= '0' and backoff_cap >= backoff_base and backoff_cap <= '24 hours')
);
comment on table kiln.stage is 'One step of a pipeline version; its output is the next one''s input, the last output is the job''s.';
comment on column kiln.stage.pipeline_version_id is 'The version it belongs to.';
comment on column kiln.stage.position is '1, 2, 3 … without a gap, checked at commit.';
comment on column kiln.stage.name is 'What people and logs call it.';
comment on column kiln.stage.handler is 'What a runner does: a row of kiln.handler.';
comment on column kiln.stage.config is 'What the handler is told, a JSON object.';
comment on column kiln.stage.queue_id is 'Where its tasks wait.';
comment on column kiln.stage.time_limit is 'How long one attempt may run; then it is stopped and counts as a timeout.';
comment on column kiln.stage.max_attempts is 'How often it is tried before the job fails; deaths of runners do not count.';
comment on column kiln.stage.backoff_base is 'The wait before the second attempt; it doubles with each, with jitter.';
comment on column kiln.stage.backoff_cap is 'The longest wait between attempts.';

-- array_to_string() is not immutable for any type, for text it might be.
create function kiln_internal.words_of(p_words text[])
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
    return array_to_string(p_words, ' ');
end
$$;
comment on function kiln_internal.words_of(text[]) is 'Words in one text, for an index.';

create table kiln.model (
    model_id      int    generated always as identity primary key,
    name          text   not null unique,
    provider_id   smallint not null references kiln.provider,
    pipeline_id   smallint not null references kiln.pipeline,
    media_type    kiln.media_type not null,
    title         text   not null,
    description   text   not null default '',
    tags          text[] not null default '{}',
    params_schema jsonb  not null default '{"type": "object", "properties": {}, "additionalProperties": false}',
    example       jsonb  not null default '{}',
    price_micros  bigint not null default 0,
    price         jsonb,
    min_media     smallint not null default 0,
    is_default    boolean not null default false,
    is_enabled    boolean not null default true,
    created_at    timestamptz not null default kiln_internal.now(),
    search        tsvector generated always as (
                      setweight(to_tsvector('pg_catalog.english', title || ' ' || translate(name, '/._-', '    ')), 'A')
                      || setweight(to_tsvector('pg_catalog.english', kiln_internal.words_of(tags)), 'B')
                      || setweight(to_tsvector('pg_catalog.english', description), 'C')) stored,
    constraint model_name_check check (name ~ '^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)+$'),
    constraint model_price_check check (price_micros between 0 and 1000000000000000),
    constraint model_min_media_check check (min_media between 0 and 12),
    constraint model_params_schema_check check (jsonb_typeof(params_schema) = 'object' and params_schema ->> 'type' = 'object'),
    constraint model_example_check check (jsonb_typeof(example) = 'object'),
    -- Deferrable: asked at the end of a statement, so that one UPDATE takes the default from one and gives it to another.
    constraint model_one_default_excl exclude using btree (media_type with =) where (is_default) deferrable
);
create index model_search_idx on kiln.model using gin (search);
comment on table kiln.model is 'Something a person can ask for. Adding one is an INSERT.';
comment on column kiln.model.model_id is 'The key.';
comment on column kiln.model.name is 'provider/name, as clients write it.';
comment on column kiln.model.provider_id is 'Who does the work: a provider that its pipeline asks, or a local one where it asks none.';
comment on column kiln.model.pipeline_id is 'How: new jobs take the newest version of this pipeline.';
comment on column kiln.model.media_type is 'What comes out.';
comment on column kiln.model.title is 'Its name for people.';
comment on column kiln.model.description is 'What it makes, in a sentence or two.';
comment on column kiln.model.tags is 'Words to filter by.';
comment on column kiln.model.params_schema is 'JSON Schema of `params`, of the part that kiln_internal.check_schema knows (docs/provider-fields.md); additionalProperties is false, and is added where it is missing.';
comment on column kiln.model.example is 'A body for POST /generate that works.';
comment on column kiln.model.price_micros is 'The estimated price of one generation, in millionths of the currency.';
comment on column kiln.model.price is 'How the price grows with what is asked: {"per": "params.duration", "micros": 100000, "default": 5} costs 100000 for each unit; per may also be characters or megapixels. Added to price_micros; null: price_micros alone.';
comment on column kiln.model.min_media is 'How many input files it works on at least; a request with fewer is refused before anything is paid.';
comment on column kiln.model.is_default is 'Taken when a request names no model; one a media type.';
comment on column kiln.model.is_enabled is 'False takes it out of the catalogue; running jobs go on.';
comment on column kiln.model.created_at is 'When it was added.';
comment on column kiln.model.search is 'The words of its name, title, tags and description, for GET /models?q=.';

create table kiln.model_use (
    model_id    int    primary key references kiln.model on delete cascade,
    jobs        int    not null,
    completed   int    not null,
    took_ms     bigint,
    measured_at timestamptz not null
);
comment on table kiln.model_use is 'How models did of late: measured by the tick each minute (kiln_internal.measure_models), read by GET /models.';
comment on column kiln.model_use.model_id is 'The model.';
comment on column kiln.model_use.jobs is 'How many of the newest 10,000 jobs asked for it.';
comment on column kiln.model_use.completed is 'How many of these are done.';
comment on column kiln.model_use.took_ms is 'From start to end, the median of those; null: none is done.';
comment on column kiln.model_use.measured_at is 'When.';
