-- Models: what people can ask for.

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
    params_schema jsonb  not null default '{"type": "object", "properties": {}, '
                                          '"additionalProperties": false}',
    example       jsonb  not null default '{}',
    price_micros  bigint not null default 0,
    price         jsonb,
    min_media     smallint not null default 0,
    is_default    boolean not null default false,
    is_enabled    boolean not null default true,
    created_at    timestamptz not null default kiln_internal.now(),
    search        tsvector generated always as (
                      setweight(to_tsvector('pg_catalog.english',
                                            title || ' ' || translate(name, '/._-', '    ')), 'A')
                      || setweight(to_tsvector('pg_catalog.english', kiln_internal.words_of(tags)), 'B')
                      || setweight(to_tsvector('pg_catalog.english', description), 'C')) stored,
    constraint model_name_check check (name ~ '^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)+$'),
    constraint model_price_check check (price_micros between 0 and 1000000000000000),
    constraint model_min_media_check check (min_media between 0 and 12),
    constraint model_params_schema_check check (jsonb_typeof(params_schema) = 'object'
                                                and params_schema ->> 'type' = 'object'),
    constraint model_example_check check (jsonb_typeof(example) = 'object'),
    -- Deferrable: asked at the end of a statement, so that one UPDATE takes the default from one and gives it
    -- to another.
    constraint model_one_default_excl exclude using btree (media_type with =) where (is_default) deferrable
);
create index model_search_idx on kiln.model using gin (search);
comment on table kiln.model is 'Something a person can ask for. Adding one is an INSERT.';
comment on column kiln.model.model_id is 'The key.';
comment on column kiln.model.name is 'provider/name, as clients write it.';
comment on column kiln.model.provider_id is
'Who does the work: a provider that its pipeline asks, or a local one where it asks none.';
comment on column kiln.model.pipeline_id is 'How: new jobs take the newest version of this pipeline.';
comment on column kiln.model.media_type is 'What comes out.';
comment on column kiln.model.title is 'Its name for people.';
comment on column kiln.model.description is 'What it makes, in a sentence or two.';
comment on column kiln.model.tags is 'Words to filter by.';
comment on column kiln.model.params_schema is
'JSON Schema of `params`, of the part that kiln_internal.check_schema knows (docs/provider-fields.md);
additionalProperties is false, and is added where it is missing.';
comment on column kiln.model.example is 'A body for POST /generate that works.';
comment on column kiln.model.price_micros is
'The estimated price of one generation, in millionths of the currency.';
comment on column kiln.model.price is
'How the price grows with what is asked: {"per": "params.duration", "micros": 100000, "default": 5} costs
100000 for each unit; per may also be characters or megapixels. Added to price_micros; null: price_micros
alone.';
comment on column kiln.model.min_media is
'How many input files it works on at least; a request with fewer is refused before anything is paid.';
comment on column kiln.model.is_default is 'Taken when a request names no model; one a media type.';
comment on column kiln.model.is_enabled is 'False takes it out of the catalogue; running jobs go on.';
comment on column kiln.model.created_at is 'When it was added.';
comment on column kiln.model.search is
'The words of its name, title, tags and description, for GET /models?q=.';

create table kiln.model_use (
    model_id    int    primary key references kiln.model on delete cascade,
    jobs        int    not null,
    completed   int    not null,
    took_ms     bigint,
    measured_at timestamptz not null
);
comment on table kiln.model_use is
'How models did of late: measured by the tick each minute (kiln_internal.measure_models), read by GET
/models.';
comment on column kiln.model_use.model_id is 'The model.';
comment on column kiln.model_use.jobs is 'How many of the newest 10,000 jobs asked for it.';
comment on column kiln.model_use.completed is 'How many of these are done.';
comment on column kiln.model_use.took_ms is 'From start to end, the median of those; null: none is done.';
comment on column kiln.model_use.measured_at is 'When.';
