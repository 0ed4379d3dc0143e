-- An amount as people read it.
create or replace function kiln_internal.format_money(p_micros bigint)
returns text
language sql stable
return to_char(p_micros / 1e6, 'FM999999990.009999') || ' ' || (select c.currency from kiln.config c);
comment on function kiln_internal.format_money(bigint) is 'An amount for people: 0.25 USD.';
