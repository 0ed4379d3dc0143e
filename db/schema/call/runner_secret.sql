-- Which runner has which secret.
create table kiln.runner_secret (
    runner_id  bigint      primary key references kiln.runner on delete cascade,
    names      text[]      not null,
    offered_at timestamptz not null default kiln_internal.now()
);
comment on table kiln.runner_secret is 'The names of the secrets that a runner has; never the secrets.';
comment on column kiln.runner_secret.runner_id is 'The runner.';
comment on column kiln.runner_secret.names is
'Names of environment variables that are set and not empty there.';
comment on column kiln.runner_secret.offered_at is 'When it said so.';
