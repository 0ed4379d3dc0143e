-- Seeds.
create or replace function kiln_internal.random_seed()
returns text
language sql volatile
return floor(random() * 9007199254740991)::bigint::text;
comment on function kiln_internal.random_seed() is
'A seed for who names none; below 2^53, so that a client that reads it as a number keeps it whole.';

create or replace function kiln_internal.is_seed(p_seed text)
returns boolean
language sql immutable
return case when p_seed ~ '^[0-9]{1,19}$' then p_seed::numeric <= 9223372036854775807 else false end;
comment on function kiln_internal.is_seed(text) is
'Whether this is a seed: a whole number from 0 to 9223372036854775807, in digits. Null is none.';
