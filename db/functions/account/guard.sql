-- Accounts: their profile, the ways into them, their end, and what operators do to them. The API calls these
-- for who acts, people type them: whoever acts through the API may do this to its own account only, or is an
-- administrator; in psql nobody acts.
create or replace function kiln_internal.guard_own(p_account_id bigint)
returns void
language plpgsql stable
set search_path = ''
as $$
begin
    if kiln_internal.acting_account() is distinct from p_account_id and kiln_internal.is_no_operator() then
        raise exception 'this is another''s account' using errcode = 'KN004';
    end if;
    if not exists (select from kiln.account a where a.account_id = p_account_id) then
        raise exception 'there is no account %', p_account_id using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln_internal.guard_own(bigint) is
'Refuses who acts through the API on another''s account (KN004), and an account that is not there (KN002).';

create or replace function kiln_internal.guard_operator(p_account_id bigint)
returns void
language plpgsql stable
set search_path = ''
as $$
begin
    if kiln_internal.is_no_operator() then
        raise exception 'this is for administrators' using errcode = 'KN004';
    end if;
    if not exists (select from kiln.account a where a.account_id = p_account_id and a.deleted_at is null) then
        raise exception 'there is no account %', p_account_id using errcode = 'KN002';
    end if;
end
$$;
comment on function kiln_internal.guard_operator(bigint) is
'Refuses who acts through the API and is no administrator (KN004), and an account that is not there any more
(KN002).';
