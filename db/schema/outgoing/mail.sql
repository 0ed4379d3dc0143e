-- Mail: its recipients and its texts.
create table kiln.mail_recipient (
    address_hash  bytea primary key,
    day           date  not null,
    mails         int   not null default 0,
    confirmations int   not null default 0,
    suppressed_at timestamptz,
    constraint mail_recipient_counts_check check (mails >= 0 and confirmations >= 0)
);
create index mail_recipient_day_idx on kiln.mail_recipient (day) where suppressed_at is null;
comment on table kiln.mail_recipient is
'What went to an address, over all accounts that name it: for a day, or for as long as its reader wants no
mail.';
comment on column kiln.mail_recipient.address_hash is 'kiln_internal.mail_key() of it.';
comment on column kiln.mail_recipient.day is 'Which day (UTC) the counts are of.';
comment on column kiln.mail_recipient.mails is
'How many mails it was sent that day, each counted once however often it was tried.';
comment on column kiln.mail_recipient.confirmations is 'How many confirmations.';
comment on column kiln.mail_recipient.suppressed_at is
'Since when its reader wants no mail, or null. kiln.unsuppress_mail() takes it back.';

create table kiln.mail_template (
    type    text primary key,
    subject text not null,
    text    text not null,
    html    text not null
);
comment on table kiln.mail_template is
'The words of mail, one row for each event that is told by mail, where {{label}} {{prompt}} {{reason}}
{{link}}
stand for what the event says; and the confirmation, where {{link}} and {{hours}} stand for the link and how
long it holds.';
comment on column kiln.mail_template.type is 'For which event, or confirmation.';
comment on column kiln.mail_template.subject is 'The subject.';
comment on column kiln.mail_template.text is 'The body as text.';
comment on column kiln.mail_template.html is 'The body as HTML; what is put in is escaped.';
insert into kiln.mail_template values
    ('job.completed', 'Your {{label}} is ready', E'Your {{label}} is ready.\n\n{{prompt}}\n\n{{link}}\n',
     '<p>Your {{label}} is ready.</p><p>{{prompt}}</p><p><a href="{{link}}">See it</a></p>'),
    ('job.failed', 'Your {{label}} failed',
     E'Your {{label}} could not be made: {{reason}}\n\n{{prompt}}\n\n{{link}}\n',
     '<p>Your {{label}} could not be made: {{reason}}</p><p>{{prompt}}</p><p><a href="{{link}}">See '
     'it</a></p>'),
    ('confirmation', 'Confirm your address',
     E'An account at Kiln wants its mail sent to this address. If it is yours, confirm that '
     'within {{hours}} hours:\n\n{{link}}\n\nIf it is not, do nothing.\n',
     '<p>An account at Kiln wants its mail sent to this address. If it is yours, <a href="{{link}}">confirm '
     'that</a> within {{hours}} hours. If it is not, do nothing.</p>'),
    ('notification', '{{label}}', E'{{prompt}}\n\n{{link}}\n',
     '<p>{{prompt}}</p><p><a href="{{link}}">Open</a></p>');
