-- Virtual staging: a project holds pictures of rooms (the originals); an image is a job of kind `staging` on
-- one of them. What may be asked for are rows: types of rooms, styles with their aliases, models; and the
-- words they become, which are versioned and never changed.
create type kiln.staging_mode as enum ('stage', 'declutter', 'restyle');
comment on type kiln.staging_mode is
'stage: furniture is added; declutter: what stands about is removed; restyle: furniture is replaced.';

create table kiln.room_type (
    name     text     primary key,
    title    text     not null,
    words    text     not null,
    position smallint not null unique,
    constraint room_type_name_check check (name ~ '^[a-z][a-z0-9_]{0,39}$'),
    constraint room_type_words_check check (words ~ '\S' and octet_length(words) <= 200)
);
comment on table kiln.room_type is 'Which rooms POST /images knows. Adding one is an INSERT.';
comment on column kiln.room_type.name is 'As clients name it.';
comment on column kiln.room_type.title is 'Its name for people.';
comment on column kiln.room_type.words is 'What the prompt calls it.';
comment on column kiln.room_type.position is 'Its place in lists.';

-- A name that was once given is never taken away: it becomes an alias of another. An alias of an alias cannot
-- be written.
create table kiln.style (
    name          text     primary key,
    title         text     not null,
    position      smallint not null unique,
    alias_of      text,
    is_deprecated boolean  not null default false,
    is_alias      boolean  generated always as (alias_of is not null) stored,
    is_of_alias   boolean  generated always as (case when alias_of is not null then false end) stored,
    unique (name, is_alias),
    foreign key (alias_of, is_of_alias) references kiln.style (name, is_alias),
    constraint style_name_check check (name ~ '^[a-z][a-z0-9_-]{0,39}$'),
    constraint style_deprecated_is_alias_check check (not is_deprecated or alias_of is not null)
);
comment on table kiln.style is
'Which styles POST /images knows. Adding one is an INSERT, with its words in kiln.style_text; none is ever
deleted.';
comment on column kiln.style.name is 'As clients name it.';
comment on column kiln.style.title is 'Its name for people.';
comment on column kiln.style.position is 'Its place in lists.';
comment on column kiln.style.alias_of is 'The style that is meant by this name; null: itself.';
comment on column kiln.style.is_deprecated is
'True: the name was a style of its own once. It is taken, as alias_of, and the answer says so; lists leave it
out.';
comment on column kiln.style.is_alias is 'Whether alias_of is set.';
comment on column kiln.style.is_of_alias is
'False where alias_of is set: the foreign key thus leads to a style that is no alias.';

create table kiln.style_text (
    style      text        not null references kiln.style,
    version    int         not null,
    words      text        not null,
    created_at timestamptz not null default kiln_internal.now(),
    primary key (style, version),
    constraint style_text_version_check check (version >= 1),
    constraint style_text_words_check check (words ~ '\S' and octet_length(words) <= 1000)
);
comment on table kiln.style_text is
'What a style adds to the prompt. The newest version counts; to change it, add one.';
comment on column kiln.style_text.style is 'The style, which is no alias.';
comment on column kiln.style_text.version is '1, 2, 3 …; kept with every image.';
comment on column kiln.style_text.words is 'How the room is to look: goes where the prompt has {words}.';
comment on column kiln.style_text.created_at is 'When it was written.';

create table kiln.staging_prompt (
    version    int         primary key,
    stage      text        not null,
    declutter  text        not null,
    restyle    text        not null,
    user_prompt       text        not null,
    preserve   text        not null,
    created_at timestamptz not null default kiln_internal.now(),
    constraint staging_prompt_version_check check (version >= 1),
    constraint staging_prompt_bytes_check check (octet_length(stage || declutter || restyle || user_prompt
                                                              || preserve) <= 3000),
    constraint staging_prompt_user_prompt_check check (position('{user_prompt}' in user_prompt) > 0)
);
comment on table kiln.staging_prompt is
'What a prompt is made of: the task by its mode, what the client said, and what must not change. The newest
version counts; to change it, add one.';
comment on column kiln.staging_prompt.version is '1, 2, 3 …; kept with every image.';
comment on column kiln.staging_prompt.stage is 'The task of mode stage, with {room} and {words}.';
comment on column kiln.staging_prompt.declutter is 'The task of mode declutter, with {room}.';
comment on column kiln.staging_prompt.restyle is 'The task of mode restyle, with {room} and {words}.';
comment on column kiln.staging_prompt.user_prompt is
'How the words of a request are told, with {user_prompt}.';
comment on column kiln.staging_prompt.preserve is 'What must stay as it is; comes last.';
comment on column kiln.staging_prompt.created_at is 'When it was written.';

create table kiln.staging_model (
    name           text     primary key,
    title          text     not null,
    description    text     not null default '',
    pipeline_id    smallint not null references kiln.pipeline,
    price_micros   bigint   not null default 0,
    max_variations smallint not null default 4,
    is_default     boolean  not null default false,
    is_enabled     boolean  not null default true,
    constraint staging_model_name_check check (name ~ '^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)+$'),
    constraint staging_model_price_check check (price_micros between 0 and 1000000000000000),
    constraint staging_model_variations_check check (max_variations between 1 and 4),
    -- Deferrable, so that it is asked at the end of a statement: one UPDATE takes the default from one and
    -- gives it to another.
    constraint staging_model_one_default_excl exclude using btree (is_default with =)
                                 where (is_default) deferrable
);
comment on table kiln.staging_model is 'Who stages: a pipeline and its price. Adding one is an INSERT.';
comment on column kiln.staging_model.name is 'As clients name it.';
comment on column kiln.staging_model.title is 'Its name for people.';
comment on column kiln.staging_model.description is 'What it does, in a sentence.';
comment on column kiln.staging_model.pipeline_id is
'How its images are made; new ones take the newest version.';
comment on column kiln.staging_model.price_micros is
'What one variation is estimated to cost, in millionths of the currency.';
comment on column kiln.staging_model.max_variations is 'How many it makes of one picture at most.';
comment on column kiln.staging_model.is_default is 'Taken where a request names none; one at most.';
comment on column kiln.staging_model.is_enabled is 'False: no new images.';
