-- The knobs of the installation, one typed row, so that a wrong unit or a typing error cannot be stored.
create table kiln.config (
    only_row          boolean  primary key default true,
    lease             interval not null default '5 seconds',
    task_grace        interval not null default '30 seconds',
    event_keep        interval not null default '30 days',
    attempt_keep      interval not null default '90 days',
    link_ttl          interval not null default '1 hour',
    upload_ttl        interval not null default '1 hour',
    upload_max_bytes  bigint   not null default 67108864,
    media_quota_bytes bigint   not null default 10737418240,
    currency          text     not null default 'USD',
    stream_ticket_ttl interval not null default '1 day',
    orphan_keep        interval not null default '1 hour',
    public_url        text,
    webhook_hosts     text     not null default '',
    mails_per_day     int      not null default 50,
    confirmations_per_day int  not null default 3,
    confirmation_ttl  interval not null default '3 days',
    presence_grace    interval not null default '10 seconds',
    nonce_ttl         interval not null default '10 minutes',
    session_ttl       interval not null default '1 day',
    writes_per_minute int      default 1200,
    writes_burst      int      not null default 600,
    logins_per_minute int      default 10,
    logins_burst      int      not null default 20,
    constraint config_one_row_check check (only_row),
    constraint config_lease_holds_two_beats_check check (lease between '4 seconds' and '10 minutes'),
    constraint config_presence_grace_check check (presence_grace between '0' and '10 minutes'),
    constraint config_history_is_kept_check check (event_keep between '1 hour' and '10 years'
                                                   and attempt_keep between '1 hour' and '10 years'),
    constraint config_links_end_check check (link_ttl between '1 minute' and '7 days'
                                             and upload_ttl between '1 minute' and '7 days'
        and stream_ticket_ttl between '1 minute' and '30 days'),
    constraint config_positive_check check (task_grace between '1 second' and '1 day'
        and upload_max_bytes between 1 and 1099511627776 and media_quota_bytes >= 0 and orphan_keep > '0'
                                            and orphan_keep <= '30 days'
        and nonce_ttl between '1 minute' and '1 hour' and session_ttl between '1 minute' and '1 year'
        and writes_per_minute > 0 and writes_burst > 0 and logins_per_minute > 0 and logins_burst > 0),
    constraint config_public_url_check check (public_url
                                      ~ '^https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$'),
    constraint config_mail_check check (mails_per_day >= 0 and confirmations_per_day >= 0
                                        and confirmation_ttl between '1 hour' and '30 days'),
    constraint config_webhook_hosts_check check (webhook_hosts
                                ~ '^(((\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(,(?!$)|$))*$'),
    constraint config_currency_check check (currency ~ '^[A-Z]{3}$')
);
insert into kiln.config default values;

comment on table kiln.config is
'The settings of this installation: one row. Change one with: update kiln.config set lease = ''10 seconds'';';
comment on column kiln.config.only_row is 'Keeps the table at one row.';
comment on column kiln.config.lease is
'A runner that has not beaten for this long is dead and its tasks go to others. kiln-runner beats each second,
idle each other second: at least 4 seconds.';
comment on column kiln.config.task_grace is
'How long after its time limit a task may stay with a living runner before it is failed as a timeout.';
comment on column kiln.config.event_keep is
'Events older than this are dropped, a partition at a time; a stream that was away longer gets a reset.';
comment on column kiln.config.attempt_keep is 'Attempts older than this are dropped, a partition at a time.';
comment on column kiln.config.link_ttl is
'How long a signed media link lives at least; its expiry is rounded up to the hour so that links can be
cached.';
comment on column kiln.config.upload_ttl is 'How long an upload link lives.';
comment on column kiln.config.upload_max_bytes is 'The largest file one may upload, in bytes.';
comment on column kiln.config.media_quota_bytes is
'How many bytes of media an account may have, promised uploads included; results of paid work are never
refused, but count. kiln.account.media_quota_bytes goes before it.';
comment on column kiln.config.orphan_keep is
'A file in the store that no row names is removed when it is older than this: who made it has died before its
row was written.';
comment on column kiln.config.currency is 'ISO 4217 code of the one currency in which prices are kept.';
comment on column kiln.config.public_url is
'Where the world reaches this installation, without a slash at the end; null: providers are not asked for
webhooks.';
comment on column kiln.config.webhook_hosts is
'Hosts, as host[:port] or *.domain[:port] divided by commas, to which users'' webhooks may go by http and at
private addresses. Empty: none. ./kiln writes KILN_WEBHOOK_HOSTS here. The hosts of providers
(KILN_TRUSTED_HOSTS) do not count for webhooks.';
comment on column kiln.config.mails_per_day is
'How many mails go to one address in a day (UTC), over all accounts; what is more is given up. Notifications
stay in the profile.';
comment on column kiln.config.confirmations_per_day is
'How many mails that ask whether an address is read go to one address in a day, over all accounts, and out for
one account in 24 hours.';
comment on column kiln.config.confirmation_ttl is 'How long the link in such a mail holds.';
comment on column kiln.config.stream_ticket_ttl is
'A stream ticket lives at most this long, and never longer than the token it was made with.';
comment on column kiln.config.presence_grace is
'Who has no stream any more is offline after this long, so that a client that comes back at once was never
away.';
comment on column kiln.config.nonce_ttl is 'How long a nonce for a wallet''s login may be used.';
comment on column kiln.config.session_ttl is 'How long the token lives that a wallet''s login gives.';
comment on column kiln.config.writes_per_minute is
'How many calls that change something an account may make for long, by all servers together; null: any
number.';
comment on column kiln.config.writes_burst is 'How many of them at once, after a rest.';
comment on column kiln.config.logins_per_minute is
'How many sign-ins by wallet an account may make for long; null: any number.';
comment on column kiln.config.logins_burst is 'How many of them at once, after a rest.';

-- Random keys that no service role reads: functions sign and check with them.
create table kiln.secret (
    name  text  primary key,
    value bytea not null default kiln_extensions.gen_random_bytes(32)
);
insert into kiln.secret (name) values ('link'), ('cursor'), ('mail');

comment on table kiln.secret is
'Keys with which SQL signs links. Random per installation; no service role can read them.';
comment on column kiln.secret.name is 'What the key signs.';
comment on column kiln.secret.value is '32 random bytes.';

-- Which migrations this database has seen: design of upgrades in docs/SETUP.md.
create table kiln.migration (
    number     int         primary key,
    name       text        not null,
    applied_at timestamptz not null default kiln_internal.now()
);
comment on table kiln.migration is
'The files of migrations/ that are in force here. A fresh install records all of them.';
comment on column kiln.migration.number is 'NNNN of migrations/NNNN_name.sql.';
comment on column kiln.migration.name is 'name of migrations/NNNN_name.sql.';
comment on column kiln.migration.applied_at is 'When it was applied here.';

create function kiln.contract(out major int, out minor int)
language plpgsql stable security definer
set search_path = ''
as $$
begin
    perform kiln_internal.check_cluster();
    major := 1;
    minor := 0;
end
$$;
comment on function kiln.contract() is
'The version of the functions that programs call. A program refuses to start with another major version; a
minor version only adds.
KN017: the database was restored from a backup and kiln.after_restore() was not called.';
