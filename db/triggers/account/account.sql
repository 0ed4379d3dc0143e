-- Another address is unproven, whoever writes it.
create or replace function kiln_internal.reset_email_proof()
returns trigger
language plpgsql
as $$
begin
    if lower(new.email) is distinct from lower(old.email)
       and new.email_verified_at is not distinct from old.email_verified_at then
        new.email_verified_at := null;
    end if;
    return new;
end
$$;
comment on function kiln_internal.reset_email_proof() is
'An address that was changed is no longer confirmed, unless the same statement says that it is.';

create or replace trigger t10_reset_email_proof before update of email on kiln.account for each row
    execute function kiln_internal.reset_email_proof();
alter table kiln.account enable always trigger t10_reset_email_proof;
