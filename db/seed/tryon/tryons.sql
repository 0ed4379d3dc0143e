-- Try-ons: pipelines of several stages, and the categories that take them. `tryon` is made on the machine
-- itself and needs no account; those on fal are the same road with a provider's models on it
-- (docs/providers.md), and wait for a runner that has the key.
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
                                'minutes", "config": {"op": "prepare", "accept": ["image", "video"]}}';
    c_finish  constant jsonb := '{"name": "finish", "handler": "media", "queue": "local", "limit": "5 '
                                'minutes", "config": {"op": "finish"}}';
    c_dress   constant jsonb := '{"name": "dress", "handler": "http", "queue": "image", "limit": "5 minutes",
                                   "config": {
        "provider": "fal", "endpoint": "fal-ai/nano-banana/edit", "body": {"prompt": "{prompt}",
        "image_urls": "{media}", "seed": "{seed}", "num_images": 1, "output_format": "png"},
        "outputs": [{"pointer": "/images/*/url", "as": "url", "media_type": "image"}]}}';
    c_wan     constant jsonb := '{"name": "film", "handler": "http", "queue": "video", "limit": "20 minutes",
                                   "config": {
        "provider": "fal", "endpoint": "fal-ai/wan-i2v", "body": {"prompt": "{prompt}",
        "image_url": "{media.0}", "seed": "{seed}", "resolution": "{params.resolution}"},
        "outputs": [{"pointer": "/video/url", "as": "url", "media_type": "video"}]}}';
    c_veo     constant jsonb := '{"name": "film", "handler": "http", "queue": "video", "limit": "20 minutes",
                                   "config": {
        "provider": "fal", "endpoint": "fal-ai/veo3/image-to-video", "body": {"prompt": "{prompt}",
        "image_url": "{media.0}", "duration": "{params.duration}", "generate_audio": false},
        "outputs": [{"pointer": "/video/url", "as": "url", "media_type": "video"}]}}';
begin
    perform pg_temp.pipeline('tryon',
        'Looks at what came, lays the garments on the first picture, and finishes it: on this machine.',
                             jsonb_build_array(
        c_prepare, '{"name": "dress", "handler": "media", "queue": "image", "limit": "1 minute", "config": '
                   '{"op": "draw"}}'::jsonb, c_finish));
    perform pg_temp.pipeline('tryon/film', 'The same, and a film of it.', jsonb_build_array(
        c_prepare, '{"name": "dress", "handler": "media", "queue": "image", "limit": "1 minute", "config": '
                   '{"op": "draw"}}'::jsonb,
        '{"name": "film", "handler": "media", "queue": "video", "limit": "3 minutes", "config": {"op": '
        '"film"}}'::jsonb, c_finish));
    perform pg_temp.pipeline('tryon/fal', 'Dresses the person of the first picture in what the others show.',
                             jsonb_build_array(c_prepare, c_dress, c_finish));
    perform pg_temp.pipeline('tryon/fal-wan', 'The same, set in motion by Wan 2.1.',
                             jsonb_build_array(c_prepare, c_dress, c_wan, c_finish));
    perform pg_temp.pipeline('tryon/fal-veo3', 'The same, set in motion by Veo 3.',
                             jsonb_build_array(c_prepare, c_dress, c_veo, c_finish));
end
$$;
drop function pg_temp.pipeline;

insert into kiln.category (name, title, description, media_type, pipeline_id, prompt, params, price_micros)
select c.name, c.title, c.description, c.media_type::kiln.media_type, p.pipeline_id, c.prompt,
       c.params::jsonb, c.price
  from (values
    ('outfit', 'Outfit', 'A sample picture, made on this machine.', 'image', 'tryon', '',
     '{"caption": false}', 0),
    ('runway', 'Runway', 'A sample film, made on this machine.', 'video', 'tryon/film', '',
     '{"caption": false, "width": 640, "height": 480, "duration_s": 3}', 0),
    ('clothes', 'Clothes', 'The person of the first picture in what the others show.', 'image', 'tryon/fal',
     'Put what the other pictures show on the person of the first picture; change nothing else.', '{}',
     39000),
    ('clothes-film', 'Clothes, a film', 'The same, turning around; by Wan.', 'video', 'tryon/fal-wan',
     'The person wears what the other pictures show, and turns around slowly.', '{"resolution": "480p"}',
     439000),
    ('clothes-film-fine', 'Clothes, a fine film', 'The same, by Veo 3.', 'video', 'tryon/fal-veo3',
     'The person wears what the other pictures show, and turns around slowly.', '{"duration": "4s"}', 839000)
  ) as c (name, title, description, media_type, pipeline, prompt, params, price)
  join kiln.pipeline p on p.name = c.pipeline;
