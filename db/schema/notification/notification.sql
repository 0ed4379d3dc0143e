-- Notifications: rows for what an operator announces and for messages to people who are away. A job's end is
-- told by its own event and read from the log (docs/chat.md): a row for it would be written where every
-- microsecond counts.
create table kiln.announcement (
    announcement_id bigint generated always as identity primary key,
    made_by         bigint      not null references kiln.account,
    account_id      bigint references kiln.account on delete cascade,
    kind            text        not null,
    text            text        not null,
    link            text,
    recipients      bigint      not null default 0,
    created_at      timestamptz not null default kiln_internal.now(),
    constraint announcement_link_check check (kiln_internal.is_link(link)),
    constraint announcement_text_check check (length(text) between 1 and 1000
                                              and kiln_internal.is_visible(text))
);
comment on table kiln.announcement is 'What administrators told one account, or all.';
comment on column kiln.announcement.announcement_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.announcement.made_by is 'Which administrator.';
comment on column kiln.announcement.account_id is 'To whom; null: to all there were.';
comment on column kiln.announcement.kind is 'A word for clients, such as maintenance.';
comment on column kiln.announcement.text is 'What it says.';
comment on column kiln.announcement.link is 'Where it leads, or null.';
comment on column kiln.announcement.recipients is 'How many accounts were told.';
comment on column kiln.announcement.created_at is 'When.';

create table kiln.notification (
    notification_id bigint generated always as identity primary key,
    account_id      bigint      not null references kiln.account on delete cascade,
    kind            text        not null,
    text            text        not null,
    link            text,
    conversation_id bigint,
    announcement_id bigint references kiln.announcement,
    read_at         timestamptz,
    created_at      timestamptz not null default kiln_internal.now(),
    constraint notification_kind_check check (kind ~ '^[a-z][a-z0-9_.]{0,39}$'),
    constraint notification_text_check check (length(text) between 1 and 1000
                                              and kiln_internal.is_visible(text)),
    constraint notification_link_check check (kiln_internal.is_link(link))
);
create index notification_account_id_idx on kiln.notification (account_id, notification_id);
create index notification_announcement_idx on kiln.notification (announcement_id)
    where announcement_id is not null;
create index notification_unread_idx on kiln.notification (account_id) where read_at is null;
create unique index notification_conversation_idx on kiln.notification (account_id, conversation_id)
    where read_at is null and conversation_id is not null;
comment on table kiln.notification is 'What an account is told besides its jobs.';
comment on column kiln.notification.notification_id is 'The key; sent to clients as a decimal string.';
comment on column kiln.notification.account_id is 'Who is told.';
comment on column kiln.notification.kind is
'message: there are unread ones in a conversation; else a word of the administrator''s.';
comment on column kiln.notification.text is 'What it says; shown as text, never as markup.';
comment on column kiln.notification.link is 'Where it leads: a path here or an https URL, or null.';
comment on column kiln.notification.conversation_id is
'Of a message: the conversation; there is one unread notification for each at most.';
comment on column kiln.notification.announcement_id is 'The announcement it came from, or null.';
comment on column kiln.notification.read_at is 'When it was read, or null.';
comment on column kiln.notification.created_at is 'When.';

create table kiln.job_ends_read (
    account_id bigint      primary key references kiln.account on delete cascade,
    read_at    timestamptz not null default kiln_internal.now(),
    upto       timestamptz not null
);
comment on table kiln.job_ends_read is 'Up to when an account has read of its jobs'' ends.';
comment on column kiln.job_ends_read.account_id is 'Whose.';
comment on column kiln.job_ends_read.read_at is 'When it said so last.';
comment on column kiln.job_ends_read.upto is 'Ends up to this moment are read.';
