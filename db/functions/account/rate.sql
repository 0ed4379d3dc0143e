-- The rate of an accounts requests.

-- One row a class and account; whoever spends holds it until its transaction ends, so the count is exact over
-- all servers. A call that is refused takes its spending back with it.
create or replace function kiln_internal.spend_rate(p_account_id bigint, p_class kiln.rate_class)
returns void
language plpgsql volatile
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    v_now     timestamptz := kiln_internal.now();
    v_step    interval;
    v_reach   interval;
    v_theoretical_arrival_at timestamptz;
begin
    select interval '1 minute' / r.per_minute, (interval '1 minute' / r.per_minute) * r.burst
      into v_step, v_reach
      from kiln.config c
     cross join lateral (values (case p_class when 'write' then c.writes_per_minute
                                      else c.logins_per_minute end,
                                 case p_class when 'write' then c.writes_burst
                                      else c.logins_burst end)) as r (per_minute, burst);
    if v_step is null then
        return;
    end if;
    insert into kiln.account_rate as r (account_id, class, theoretical_arrival_at)
    values (p_account_id, p_class, v_now + v_step)
    on conflict (account_id, class) do update set theoretical_arrival_at = greatest(r.theoretical_arrival_at,
                                                        v_now) + v_step
     where greatest(r.theoretical_arrival_at, v_now) + v_step <= v_now + v_reach;
    if not found then
        select r.theoretical_arrival_at into v_theoretical_arrival_at from kiln.account_rate r
         where r.account_id = p_account_id and r.class = p_class;
        raise exception 'this account has made too many %',
            case p_class when 'write' then 'changes' else 'sign-ins' end || ' in a short time'
            using errcode = 'KN007',
                  detail = json_build_object('retry_after',
                         ceil(extract(epoch from v_theoretical_arrival_at + v_step - v_reach - v_now)))::text;
    end if;
end
$$;
comment on function kiln_internal.spend_rate(bigint, kiln.rate_class) is
'Takes one from an account''s rate (GCRA: bursts of kiln.config''s size, then one each step), exactly, over
all servers. KN007: none is left; DETAIL says until when.';
