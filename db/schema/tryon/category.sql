-- Categories of try-ons: which pipeline makes them, and which version of it, is the administrator's choice
-- and a row.
create table kiln.category (
    category_id      smallint generated always as identity primary key,
    name             text     not null unique,
    title            text     not null,
    description      text     not null default '',
    media_type       kiln.media_type not null,
    pipeline_id      smallint not null references kiln.pipeline,
    pipeline_version int,
    prompt           text     not null default '',
    params           jsonb    not null default '{}',
    price_micros     bigint   not null default 0,
    is_enabled       boolean  not null default true,
    foreign key (pipeline_id, pipeline_version) references kiln.pipeline_version (pipeline_id, version),
    constraint category_name_check check (name ~ '^[a-z][a-z0-9_-]{0,39}$'),
    constraint category_prompt_check check (octet_length(prompt) <= 4000),
    constraint category_params_check check (jsonb_typeof(params) = 'object'),
    constraint category_price_check check (price_micros between 0 and 1000000000000000)
);
comment on table kiln.category is
'What a try-on may be of. Adding one is an INSERT, or PUT /admin/categories/{name}.';
comment on column kiln.category.category_id is 'The key.';
comment on column kiln.category.name is 'As POST /tryons and its list name it.';
comment on column kiln.category.title is 'Its name for people.';
comment on column kiln.category.description is 'What comes out, in a sentence.';
comment on column kiln.category.media_type is 'What comes out.';
comment on column kiln.category.pipeline_id is 'How its try-ons are made.';
comment on column kiln.category.pipeline_version is 'The version that new try-ons take; null: the newest.';
comment on column kiln.category.prompt is
'Goes before the words of each request, so that one request serves whatever pipeline is chosen.';
comment on column kiln.category.params is 'Parameters for its stages, as {params.NAME} of their templates.';
comment on column kiln.category.price_micros is
'What one is estimated to cost, in millionths of the currency.';
comment on column kiln.category.is_enabled is 'False: no new ones.';
