-- Pipelines: what a job goes through, stage by stage.

-- What a stage may name; a runner knows exactly these.
create table kiln.handler (
    name          text  primary key,
    description   text  not null,
    config_schema jsonb not null,
    constraint handler_config_schema_check check (config_schema ->> 'type' = 'object')
);
comment on table kiln.handler is
'What runners can do with a task; a stage that names another is refused when it is written.';
comment on column kiln.handler.name is 'Named in kiln.stage.handler.';
comment on column kiln.handler.description is 'What it does and which configuration it reads.';
comment on column kiln.handler.config_schema is
'JSON Schema of a stage''s config (the part that kiln_internal.check_schema knows); a stage is held against it
when it is written.';
insert into kiln.handler (name, description, config_schema) values
    ('log',   'Logs its input and hands it on: the first thing one tries.', '{"type": "object"}'),
    -- A tool is given its whole config, so keys of its own may stand beside these.
    ('exec',  'Runs a command of the operator''s tools in a private folder: {"command": ["name", "arg"], '
              '"network": false, "memory_mb": 2048}.',
     '{"type": "object", "required": ["command"], "properties": {
        "command": {"type": "array", "minItems": 1, "maxItems": 63, "items": {"type": "string"}},
        "network": {"type": "boolean"},
        "memory_mb": {"type": "integer", "minimum": 16, "maximum": 262144}}}'),
    ('media', 'Runs an operation of kiln-media in a private folder: {"op": '
              '"check|prepare|draw|film|speak|finish|furnish|disclose"}.',
     '{"type": "object", "additionalProperties": false, "required": ["op"], "properties": {
        "op": {"type": "string", "enum": ["check", "prepare", "draw", "film", "speak", "finish", "furnish",
        "disclose"]},
        "accept": {"type": "array", "uniqueItems": true, "items": {"type": "string", "enum": ["image",
        "video", "audio"]}},
        "max_pixels": {"type": "integer", "minimum": 1},
        "max_side": {"type": "integer", "minimum": 256, "maximum": 8192},
        "max_duration_s": {"type": "integer", "minimum": 1},
        "text": {"type": "string", "minLength": 1, "maxLength": 200},
        "memory_mb": {"type": "integer", "minimum": 16, "maximum": 262144}}}'),
    ('http',  'Asks a provider: {"provider": "fal", "endpoint": "fal-ai/flux/dev", "body": {"prompt": '
              '"{prompt}"}, "outputs": [{"pointer": "/images/*/url", "as": "url", "media_type": "image"}]}. '
              'docs/providers.md',
     '{"type": "object", "additionalProperties": false, "required": ["provider", "outputs"], "properties": {
        "provider": {"type": "string"},
        "endpoint": {"type": "string", "minLength": 1, "maxLength": 200},
        "version": {"type": "string"},
        "role": {"type": "string", "enum": ["output", "work"]},
        "body": {},
        "outputs": {"type": "array", "maxItems": 64, "items": {"type": "object",
        "additionalProperties": false, "required": ["as", "media_type"], "properties": {
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
comment on column kiln.pipeline.pipeline_version_id is
'The version that new jobs take: the newest, set by a trigger when it is written, or an older one of its own
to go back to. Null: none yet.';
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
To
change a pipeline: begin; select kiln.new_pipeline_version(''image''); insert, update or delete its stages;
commit.';
comment on column kiln.pipeline_version.pipeline_version_id is 'The key; a job keeps the one it began with.';
comment on column kiln.pipeline_version.pipeline_id is 'The pipeline.';
comment on column kiln.pipeline_version.version is '1, 2, 3 …';
comment on column kiln.pipeline_version.xid is
'The transaction that wrote it, as the log numbers it; only that one may still change its stages.';
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
    -- the name first, else the planner takes this index, whole, for a look at one stage
    unique (name, pipeline_version_id) deferrable initially deferred,
    constraint stage_position_check check (position between 1 and 99),
    constraint stage_name_check check (name ~ '^[a-z][a-z0-9_-]{0,39}$'),
    constraint stage_config_check check (jsonb_typeof(config) = 'object'),
    constraint stage_time_limit_check check (time_limit between '100 milliseconds' and '24 hours'),
    constraint stage_max_attempts_check check (max_attempts between 1 and 100),
    constraint stage_backoff_check check (backoff_base >= '0' and backoff_cap >= backoff_base
                                          and backoff_cap <= '24 hours')
);
comment on table kiln.stage is
'One step of a pipeline version; its output is the next one''s input, the last output is the job''s.';
comment on column kiln.stage.pipeline_version_id is 'The version it belongs to.';
comment on column kiln.stage.position is '1, 2, 3 … without a gap, checked at commit.';
comment on column kiln.stage.name is 'What people and logs call it.';
comment on column kiln.stage.handler is 'What a runner does: a row of kiln.handler.';
comment on column kiln.stage.config is 'What the handler is told, a JSON object.';
comment on column kiln.stage.queue_id is 'Where its tasks wait.';
comment on column kiln.stage.time_limit is
'How long one attempt may run; then it is stopped and counts as a timeout.';
comment on column kiln.stage.max_attempts is
'How often it is tried before the job fails; deaths of runners do not count.';
comment on column kiln.stage.backoff_base is
'The wait before the second attempt; it doubles with each, with jitter.';
comment on column kiln.stage.backoff_cap is 'The longest wait between attempts.';
