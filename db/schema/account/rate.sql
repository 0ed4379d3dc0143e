-- Rates of an accounts requests.

-- How fast an account may go on: one narrow row for each that writes. Not logged: after a crash all begin
-- with a full burst.
create type kiln.rate_class as enum ('write', 'login');
comment on type kiln.rate_class is
'What is counted: calls of the API that change something; sign-ins by wallet.';

create unlogged table kiln.account_rate (
    account_id bigint          not null references kiln.account on delete cascade,
    class      kiln.rate_class not null,
    theoretical_arrival_at    timestamptz     not null,
    primary key (account_id, class)
) with (fillfactor = 50);
comment on table kiln.account_rate is
'Rates of accounts (GCRA): see kiln_internal.spend_rate() and the rates in kiln.config.';
comment on column kiln.account_rate.account_id is 'Whose.';
comment on column kiln.account_rate.class is 'Of what.';
comment on column kiln.account_rate.theoretical_arrival_at is
'When it would be as if nothing had been done; the further ahead, the less is left of the burst.';
