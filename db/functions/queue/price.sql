-- Prices of models.

-- Prices.
create or replace function kiln_internal.check_price()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_unknown text;
begin
    if new.price is null then
        return new;
    end if;
    select string_agg(k, ', ') into v_unknown
      from jsonb_object_keys(case jsonb_typeof(new.price) when 'object' then new.price else '{}' end) as k
     where k not in ('per', 'micros', 'default', 'at_least');
    if jsonb_typeof(new.price) <> 'object' or v_unknown is not null
       or coalesce(new.price ->> 'per', '') !~ '^(characters|megapixels|params\.[A-Za-z0-9_.-]+)$'
       or coalesce(kiln_internal.reply_number(new.price -> 'micros'), -1) < 0
       or coalesce(kiln_internal.reply_number(new.price -> 'default'),
                   case when new.price ? 'default' then -1 else 0 end) < 0
       or coalesce(kiln_internal.reply_number(new.price -> 'at_least'),
                   case when new.price ? 'at_least' then -1 else 0 end) < 0 then
        raise exception 'model %: price: it is to be such as {"per": "params.duration", "micros": 100000, '
                        '"default": 5, "at_least": 1}; per may also be characters or megapixels', new.name
            using errcode = 'KN003', column = 'price';
    end if;
    return new;
end
$$;
comment on function kiln_internal.check_price() is 'Refuses a price that nobody can count (KN003).';
create or replace trigger t10_check_price before insert or update of price on kiln.model for each row
    execute function kiln_internal.check_price();
alter table kiln.model enable always trigger t10_check_price;

create or replace function kiln.estimate(p_model_id int, p_input jsonb)
returns bigint
language plpgsql stable
set search_path = ''
as $$
declare
    v_model kiln.model;
    v_units numeric;
    v_value text;
    v_sum   numeric;
begin
    select m.* into v_model from kiln.model m where m.model_id = p_model_id;
    if v_model.price is null then
        return coalesce(v_model.price_micros, 0);
    end if;
    case v_model.price ->> 'per'
        when 'characters' then
            v_units := length(p_input ->> 'prompt');
        when 'megapixels' then
            v_units := coalesce(kiln_internal.reply_number(p_input
                              #> '{params,width}') * kiln_internal.reply_number(p_input #> '{params,height}'),
                                kiln_internal.reply_number(p_input
                                    #> '{params,image_size,width}') * kiln_internal.reply_number(p_input
                                                        #> '{params,image_size,height}')) / 1e6;
        else
            v_value := p_input #>> string_to_array(v_model.price ->> 'per', '.');
            v_units := substring(v_value from '^[0-9]{1,9}(?:\.[0-9]{1,6})?')::numeric;      -- "8s" is 8
    end case;
    v_units := coalesce(v_units, (v_model.price ->> 'default')::numeric, 1);
    v_sum := v_model.price_micros + ceil(greatest(v_units,
                                                  coalesce((v_model.price ->> 'at_least')::numeric,
                                                           0)) * (v_model.price ->> 'micros')::numeric);
    return least(v_sum, 1e15);
end
$$;
comment on function kiln.estimate(int, jsonb) is
'The price of a job of this model with this input (kiln.job.input), in millionths of the currency.';
