-- The embedded provider: real media made by Debian's tools on the runner's machine, with no account, no
-- network and no cost. It is for trying and testing; every file says that it is a local sample.
insert into kiln.provider (name, is_local, description) values
    ('local', true,
     'Makes sample media with libvips, ffmpeg and espeak-ng on the machine itself: no account, no network, '
     'no cost. For trying and testing.');

do $$
declare
    v_version int;
begin
    v_version := kiln.new_pipeline_version('local/image');
    insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit)
    select v_version, s.position, s.name, 'media', s.config::jsonb, q.queue_id, s.time_limit
      from (values (1, 'prepare',  '{"op": "prepare", "accept": ["image", "video"]}', 'image',
                    interval '60 seconds'),
                   (2, 'generate', '{"op": "draw"}',                                  'image',
                    interval '60 seconds'),
                   (3, 'finish',   '{"op": "finish"}',                                'local',
                    interval '60 seconds'))
           as s (position, name, config, queue, time_limit)
      join kiln.queue q on q.name = s.queue;

    v_version := kiln.new_pipeline_version('local/video');
    insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit)
    select v_version, s.position, s.name, 'media', s.config::jsonb, q.queue_id, s.time_limit
      from (values (1, 'prepare',  '{"op": "prepare", "accept": ["image", "video"]}', 'video',
                    interval '2 minutes'),
                   (2, 'generate', '{"op": "film"}',                                  'video',
                    interval '3 minutes'),
                   (3, 'finish',   '{"op": "finish"}',                                'local',
                    interval '2 minutes'))
           as s (position, name, config, queue, time_limit)
      join kiln.queue q on q.name = s.queue;

    v_version := kiln.new_pipeline_version('local/audio');
    insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit)
    select v_version, s.position, s.name, 'media', s.config::jsonb, q.queue_id, s.time_limit
      from (values (1, 'prepare',  '{"op": "prepare", "accept": []}', 'audio', interval '30 seconds'),
                   (2, 'generate', '{"op": "speak"}',                 'audio', interval '60 seconds'),
                   (3, 'finish',   '{"op": "finish"}',                'local', interval '60 seconds'))
           as s (position, name, config, queue, time_limit)
      join kiln.queue q on q.name = s.queue;

    -- What is sent in is looked at before anything may use it.
    v_version := kiln.new_pipeline_version('upload');
    insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit)
    select v_version, 1, 'check', 'media', '{"op": "check", "max_pixels": 100000000, "max_duration_s": 600}',
           q.queue_id, interval '5 minutes'
      from kiln.queue q where q.name = 'local';

    -- The first thing one tries: it logs its input and hands it on.
    v_version := kiln.new_pipeline_version('log');
    insert into kiln.stage (pipeline_version_id, position, name, handler, queue_id)
    select v_version, 1, 'log', 'log', q.queue_id from kiln.queue q where q.name = 'local';
end
$$;
update kiln.pipeline set description = 'Pictures by libvips.' where name = 'local/image';
update kiln.pipeline set description = 'Films of pictures by ffmpeg.' where name = 'local/video';
update kiln.pipeline set description = 'Speech by espeak-ng.' where name = 'local/audio';
update kiln.pipeline
   set description
       = 'Checks what people send in: type, size, pixels, duration, whether it decodes; turns pictures '
         'upright and strips what the camera noted.' where name = 'upload';
update kiln.pipeline set description = 'Logs its input: select kiln.enqueue(''log'', ''{"hello": "world"}'');'
 where name = 'log';

insert into kiln.model (name, provider_id, pipeline_id, media_type, title, description, tags, is_default,
                        example, params_schema)
select m.name, v.provider_id, p.pipeline_id, m.media_type::kiln.media_type, m.title, m.description,
       m.tags::text[], true, m.example::jsonb, m.params_schema::jsonb
  from (values
    ('local/sketch', 'local/image', 'image', 'Sketch',
     'Paints a landscape, a town, a starry sky or a pattern from the words of the prompt, and the seed '
     'decides the rest. With input pictures it lays the others on the first, in one corner; everything '
     'outside that corner stays as it was.',
     '{local,image,free}', '{"type": "image", "prompt": "a lighthouse by the sea at dusk"}',
     '{"type": "object", "additionalProperties": false, "properties": {
        "width": {"type": "integer", "minimum": 256, "maximum": 2048, "default": 1024, "title": "Width",
        "description": "Pixels. With input pictures the first one''s size counts."},
        "height": {"type": "integer", "minimum": 256, "maximum": 2048, "default": 768, "title": "Height",
        "description": "Pixels. With input pictures the first one''s size counts."},
        "format": {"type": "string", "enum": ["png", "jpeg", "webp"], "default": "png",
        "title": "File format"},
        "quality": {"type": "integer", "minimum": 1, "maximum": 100, "default": 88, "title": "Quality",
        "description": "For JPEG and WebP."},
        "motif": {"type": "string", "enum": ["auto", "mountain", "sea", "forest", "city", "desert", "meadow",
        "space", "flow"], "default": "auto", "title": "Motif", "description": "auto: read from the prompt."},
        "caption": {"type": "boolean", "default": true, "title": "Caption",
        "description": "Set the prompt in a strip at the foot."}}}'),
    ('local/slideshow', 'local/video', 'video', 'Slideshow',
     'A short film: a slow pan over the input pictures with cross-fades. With only a prompt it paints the '
     'scenes itself: a day going by over one land.',
     '{local,video,free}', '{"type": "video", "prompt": "mountains by a lake"}',
     '{"type": "object", "additionalProperties": false, "properties": {
        "width": {"type": "integer", "minimum": 256, "maximum": 1920, "multipleOf": 2, "default": 1280,
        "title": "Width", "description": "Pixels, even."},
        "height": {"type": "integer", "minimum": 256, "maximum": 1080, "multipleOf": 2, "default": 720,
        "title": "Height", "description": "Pixels, even."},
        "duration_s": {"type": "number", "minimum": 3, "maximum": 6, "default": 5, "title": "Duration",
        "description": "Seconds."},
        "fps": {"type": "integer", "minimum": 10, "maximum": 30, "default": 25, "title": "Frames a second"},
        "motif": {"type": "string", "enum": ["auto", "mountain", "sea", "forest", "city", "desert", "meadow",
        "space", "flow"], "default": "auto", "title": "Motif"},
        "caption": {"type": "boolean", "default": true, "title": "Caption"}}}'),
    ('local/speech', 'local/audio', 'audio', 'Speech',
     'Speaks the prompt aloud with espeak-ng. The seed moves the voice''s pitch a little.',
     '{local,audio,free}',
     '{"type": "audio", "prompt": "Kiln keeps a queue of requests, and makes them one after another."}',
     '{"type": "object", "additionalProperties": false, "properties": {
        "voice": {"type": "string", "enum": ["en-gb", "en-us", "en-gb-scotland", "de", "fr-fr", "es", "it",
        "nl", "pl", "pt", "sv"], "default": "en-gb", "title": "Voice"},
        "speed": {"type": "integer", "minimum": 80, "maximum": 320, "default": 160, "title": "Speed",
        "description": "Words a minute."},
        "pitch": {"type": "integer", "minimum": 0, "maximum": 99, "default": 50, "title": "Pitch"},
        "format": {"type": "string", "enum": ["mp3", "wav", "opus"], "default": "mp3",
        "title": "File format"}}}')
  ) as m (name, pipeline, media_type, title, description, tags, example, params_schema)
  join kiln.pipeline p on p.name = m.pipeline
  cross join kiln.provider v
 where v.name = 'local';
