-- What operators did to accounts.

-- What operators did to accounts, and why: append-only.
create type kiln.account_act_kind as enum ('role', 'suspend', 'unsuspend', 'grant');
comment on type kiln.account_act_kind is 'What an operator can do to an account.';

create table kiln.account_act (
    account_act_id bigint generated always as identity primary key,
    account_id     bigint                not null references kiln.account on delete cascade,
    kind           kiln.account_act_kind not null,
    details        jsonb                 not null default '{}',
    reason         text,
    made_by        bigint,
    by_name        text                  not null default session_user,
    at             timestamptz           not null default kiln_internal.now()
);
create index account_act_account_id_idx on kiln.account_act (account_id, account_act_id);
comment on table kiln.account_act is
'Every role, suspension and grant: who gave it, to whom, why. Append-only.';
comment on column kiln.account_act.account_act_id is 'The key.';
comment on column kiln.account_act.account_id is 'To whom.';
comment on column kiln.account_act.kind is 'What.';
comment on column kiln.account_act.details is 'The new role; the row of the ledger and its amount.';
comment on column kiln.account_act.reason is 'Why.';
comment on column kiln.account_act.made_by is 'The account of the operator; null: someone in psql.';
comment on column kiln.account_act.by_name is 'The database role of the session.';
comment on column kiln.account_act.at is 'When.';
