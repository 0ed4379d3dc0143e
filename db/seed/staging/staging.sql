-- Virtual staging: rooms, styles, the words they become, and who stages: samples on this machine, which need
-- no account, or fal's models that edit pictures, which wait for a runner that has the key.
insert into kiln.room_type (name, title, words, position) values
    ('auto', 'As it looks', 'room', 1),
    ('living_room', 'Living room', 'living room', 2),
    ('bedroom', 'Bedroom', 'bedroom', 3),
    ('kitchen', 'Kitchen', 'kitchen', 4),
    ('dining_room', 'Dining room', 'dining room', 5),
    ('bathroom', 'Bathroom', 'bathroom', 6),
    ('home_office', 'Home office', 'home office', 7),
    ('kids_room', 'Children''s room', 'children''s room', 8),
    ('entryway', 'Entryway', 'entryway', 9),
    ('basement', 'Basement', 'basement', 10),
    ('outdoor', 'Outdoors', 'outdoor area', 11),
    ('other', 'Other', 'space', 12);

insert into kiln.style (name, title, position, alias_of, is_deprecated) values
    ('standard', 'Standard', 1, null, false), ('modern', 'Modern', 2, null, false),
       ('contemporary', 'Contemporary', 3, null, false),
    ('scandinavian', 'Scandinavian', 4, null, false), ('industrial', 'Industrial', 5, null, false),
       ('traditional', 'Traditional', 6, null, false),
    ('minimalist', 'Minimalist', 7, null, false), ('luxury', 'Luxury', 8, null, false),
       ('farmhouse', 'Farmhouse', 9, null, false),
    ('coastal', 'Coastal', 10, null, false), ('bohemian', 'Bohemian', 11, null, false),
       ('midcentury', 'Mid-century modern', 12, null, false),
    ('japandi', 'Japandi', 13, null, false), ('art_deco', 'Art deco', 14, null, false),
       ('rustic', 'Rustic', 15, null, false),
    ('classic', 'Classic', 16, 'traditional', false),
       ('mid_century_modern', 'Mid-century modern', 17, 'midcentury', false),
    ('mid-century', 'Mid-century modern', 18, 'midcentury', false), ('boho', 'Boho', 19, 'bohemian', false),
       ('nordic', 'Nordic', 20, 'scandinavian', false),
    ('art-deco', 'Art deco', 21, 'art_deco', false), ('minimal', 'Minimal', 22, 'minimalist', false),
    ('hamptons', 'Hamptons', 23, 'coastal', true), ('american', 'American', 24, 'traditional', true),
       ('southwestern', 'Southwestern', 25, 'rustic', true);

insert into kiln.style_text (style, version, words) values
    ('standard', 1,
     'in a plain style that pleases most people: light neutral colours, simple furniture, few things '
     'lying about'),
    ('modern', 1,
     'in modern style: clean lines, low furniture in grey and white, one warm accent, metal and glass'),
    ('contemporary', 1,
     'in contemporary style: soft shapes, layered neutral colours, textured fabrics, a large quiet picture'),
    ('scandinavian', 1,
     'in Scandinavian style: pale wood, white and soft grey, wool and linen, a plant, uncluttered'),
    ('industrial', 1,
     'in industrial style: dark metal frames, worn leather, reclaimed wood, a visible filament lamp'),
    ('traditional', 1,
     'in traditional style: turned wood, upholstered seats in deep warm colours, a patterned rug, symmetry'),
    ('minimalist', 1,
     'in minimalist style: very few pieces, white and beige, hidden storage, much free floor'),
    ('luxury', 1,
     'in a luxurious style: velvet, marble and brass, tailored pieces, dark jewel colours, layered light'),
    ('farmhouse', 1,
     'in farmhouse style: painted and raw wood, cream and sage, woven baskets, simple cotton'),
    ('coastal', 1, 'in coastal style: white and sea blue, bleached wood, rattan, striped linen, airy'),
    ('bohemian', 1, 'in bohemian style: mixed patterns, terracotta and teal, low seats, rattan, many plants'),
    ('midcentury', 1,
     'in mid-century modern style: teak on tapered legs, mustard and teal, organic shapes, a sunburst or '
     'globe lamp'),
    ('japandi', 1,
     'in japandi style: low oak furniture, earthy muted colours, paper and stoneware, calm and empty'),
    ('art_deco', 1,
     'in art deco style: stepped and fan shapes, black, emerald and gold, lacquer, mirrors that face '
     'no camera'),
    ('rustic', 1, 'in rustic style: heavy rough wood, stone and iron, wool blankets, warm earth colours');

insert into kiln.staging_prompt (version, stage, declutter, restyle, user_prompt, preserve) values (1,
    'Furnish this {room} {words}. Use realistic furniture of the right size for the room, standing on its '
    'floor, lit as the room is, with no door, window or way through blocked.',
    'Remove all movable furniture and all loose things from this {room}, and show it empty and clean. What '
    'becomes visible behind them goes on as the floor and the walls beside it.',
    'Replace the movable furniture and the decoration of this {room} by others {words}. Use realistic '
    'furniture of the right size for the room, standing where furniture stood.',
    'The owner also asks: {user_prompt}',
    'Keep everything else exactly as it is: walls, windows, doors, floor, ceiling, built-in fixtures, the '
    'view outside, the camera''s position and angle, the crop, and the direction of the light. Add no '
    'people, no text and no logos.');

create function pg_temp.pipeline(p_name text, p_description text, p_stages jsonb)
returns void
language plpgsql
as $$
declare
    v_version int := kiln.new_pipeline_version(p_name);
begin
    insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit)
    select v_version, e.ord, e.stage ->> 'name', e.stage ->> 'handler', e.stage -> 'config', q.queue_id,
           (e.stage ->> 'limit')::interval
      from jsonb_array_elements(p_stages) with ordinality as e (stage, ord)
      join kiln.queue q on q.name = e.stage ->> 'queue';
    update kiln.pipeline set description = p_description where name = p_name;
end
$$;

do $$
declare
    c_prepare constant jsonb := '{"name": "prepare", "handler": "media", "queue": "local", "limit": "2 '
                                'minutes", "config": {"op": "prepare", "accept": ["image"]}}';
    c_furnish constant jsonb := '{"name": "furnish", "handler": "media", "queue": "image", "limit": "2 '
                                'minutes", "config": {"op": "furnish"}}';
    -- The label is burnt in here and nowhere else, on this machine, whoever made the picture.
    c_label   constant jsonb := '{"name": "disclose", "handler": "media", "queue": "local", "limit": "2 '
                                'minutes", "config": {"op": "disclose", "text": "Virtually staged"}}';
    -- The words of the label are carried past the provider; the seed that it names is handed on.
    c_edit    constant jsonb := '{"name": "furnish", "handler": "http", "queue": "image",
                                   "limit": "5 minutes", "config": {
        "provider": "fal", "carry": ["disclosure"], "keep": {"seed": "/seed"},
        "outputs": [{"pointer": "/images/*/url", "as": "url", "media_type": "image"}]}}';
    v_model   record;
begin
    for v_model in select * from (values
        ('staging/fal-kontext', 'fal-ai/flux-pro/kontext',
         '{"image_url": "{media.0}", "output_format": "png"}', true),
        ('staging/fal-nano-banana', 'fal-ai/nano-banana/edit',
         '{"image_urls": "{media}", "output_format": "png"}', false),
        ('staging/fal-seedream', 'fal-ai/bytedance/seedream/v4/edit',
         '{"image_urls": "{media}", "max_images": 1}', false),
        ('staging/fal-apartment', 'fal-ai/flux-2-lora-gallery/apartment-staging',
         '{"image_urls": "{media}", "output_format": "png"}', true)
      ) as v (name, endpoint, body, tells_blocked)
    loop
        perform pg_temp.pipeline(v_model.name, 'Looks at the picture, has ' || v_model.endpoint
                                 || ' edit it, and labels it.', jsonb_build_array(
            c_prepare,
            jsonb_set(c_edit, '{config}', c_edit -> 'config' || jsonb_build_object(
                'endpoint', v_model.endpoint,
                'body', '{"prompt": "{prompt}", "seed": "{seed}", "num_images": "{params.variations}"}'::jsonb
                        || v_model.body::jsonb)
                || case when v_model.tells_blocked then '{"blocked": ["/has_nsfw_concepts/*"]}'
                        else '{}' end::jsonb),
            c_label));
    end loop;
    perform pg_temp.pipeline('staging',
                             'Looks at the picture, makes a sample of it on this machine, and labels it.',
                             jsonb_build_array(c_prepare, c_furnish, c_label));
end
$$;
drop function pg_temp.pipeline;

insert into kiln.staging_model (name, title, description, pipeline_id, price_micros, max_variations,
                                is_default)
select m.name, m.title, m.description, p.pipeline_id, m.price, m.variations, m.is_default
  from (values
    ('local/furnish', 'Sample', 'A sample made on this machine: for trying and testing.', 'staging', 0, 4,
     true),
    ('fal/kontext', 'FLUX.1 Kontext', 'Changes the picture as the prompt says, and little else.',
     'staging/fal-kontext', 40000, 4, false),
    ('fal/nano-banana', 'Nano Banana', 'Furnishes, clears and restyles.', 'staging/fal-nano-banana', 39000, 4,
     false),
    ('fal/seedream', 'Seedream 4', 'Furnishes, clears and restyles.', 'staging/fal-seedream', 30000, 4,
     false),
    ('fal/apartment-staging', 'Apartment staging', 'A FLUX.2 model that learned to furnish empty rooms.',
     'staging/fal-apartment', 30000, 4, false)
  ) as m (name, title, description, pipeline, price, variations, is_default)
  join kiln.pipeline p on p.name = m.pipeline;
