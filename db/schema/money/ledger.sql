-- Money, as rows that are only ever added. A job with a price holds it when it is made; when it has ended and
-- nothing of it is unsettled, the hold is released and what was used is charged: at most what was held,
-- nothing where the job failed.
create type kiln.ledger_kind as enum ('grant', 'hold', 'release', 'charge');
comment on type kiln.ledger_kind is
'grant: credit given; hold: set aside for a job; release: the hold''s end; charge: what a job cost the
account.';

create table kiln.ledger (
    ledger_id     bigint generated always as identity primary key,
    account_id    bigint           not null,
    job_id        bigint,
    kind          kiln.ledger_kind not null,
    amount_micros bigint           not null,
    note          text,
    at            timestamptz      not null default kiln_internal.now(),
    constraint ledger_sign_check check (case kind when 'hold' then amount_micros < 0 when 'charge'
                                                 then amount_micros < 0
                                                  when 'release' then amount_micros > 0
                                             else amount_micros <> 0 end),
    constraint ledger_job_check check ((kind = 'grant') = (job_id is null))
);
create unique index ledger_job_id_idx on kiln.ledger (job_id, kind) where job_id is not null;
create index ledger_account_id_idx on kiln.ledger (account_id, ledger_id);
comment on table kiln.ledger is
'Every movement of money, append-only, for everyone: an account''s balance is the sum of its rows
(kiln.balances).';
comment on column kiln.ledger.ledger_id is 'The key.';
comment on column kiln.ledger.account_id is 'Whose money.';
comment on column kiln.ledger.job_id is 'For which job; null: a grant.';
comment on column kiln.ledger.kind is 'What it is. At most one of each kind for a job.';
comment on column kiln.ledger.amount_micros is
'Millionths of the currency; what leaves the account is negative.';
comment on column kiln.ledger.note is 'Why, for grants.';
comment on column kiln.ledger.at is 'When.';
