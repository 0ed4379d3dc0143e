-- Real providers, described by their documentation (docs/providers.md); not run live by this project. Their
-- models show as unavailable until a runner has the secret. Prices are estimates: set your own, update
-- kiln.model set price = ….

-- fal.ai, queue API: submit, poll (202 while it waits or runs), result apart, cancel, webhook signed with
-- Ed25519. COMPLETED is no success: a failure shows as `error` in the status, or as the status of the result.
-- No idempotency key and no lookup. fal documents that 5xx of its platform are not billed and names them by
-- error_type; a 5xx without that name may come from anything in between, so it proves nothing.
insert into kiln.provider (name, description, base_url, reply_hosts, file_hosts, auth, submit, poll, result,
                           cancel, webhook, errors, error_pointers,
                           bills_failures, bills_cancelled, max_calls) values
    ('fal', 'Image, video and audio models of fal.ai, by its queue.', 'https://queue.fal.run', '{}',
     '{fal.media,*.fal.media}',
     '{"header": "Authorization", "prefix": "Key ", "env": "FAL_KEY"}',
     '{"method": "POST", "path": "/{endpoint}", "query": {"fal_webhook": "{webhook_url}"}, "body": "{body}",
        "accept": [200, 201, 202],
       "id": ["/request_id", "header:x-fal-request-id"], "status_url": ["/status_url"],
       "result_url": ["/response_url"], "cancel_url": ["/cancel_url"]}',
     '{"path": "/{app}/requests/{id}/status", "accept": [200, 202], "status": ["/status"], "error": ["/error",
        "/error_type"],
       "states": {"IN_QUEUE": "queued", "IN_PROGRESS": "running", "COMPLETED": "succeeded"},
       "position": ["/queue_position"], "every_ms": 1000, "max_every_ms": 15000}',
     '{"path": "/{app}/requests/{id}"}',
     '{"method": "PUT", "path": "/{app}/requests/{id}/cancel", "accept": [200, 202, 400, 404], '
     '"is_final_on": [200]}',
     '{"scheme": "fal-ed25519", "jwks_url": "https://rest.fal.ai/.well-known/jwks.json", "tolerance_s": 300,
        "id": ["/request_id"],
       "status": ["/status"], "states": {"OK": "succeeded", "ERROR": "failed"}, "result": ["/payload"]}',
     '[{"code": ["client_cancelled", "client_disconnected"], "class": "cancelled", "is_unbilled": true},
       {"header": {"x-fal-request-timeout-type": "user"}, "class": "invalid", "is_unbilled": true},
       {"code": ["content_policy_violation"], "class": "refused", "is_unbilled": true},
       {"code": ["request_timeout", "startup_timeout", "runner_scheduling_failure",
        "runner_connection_timeout", "runner_disconnected", "runner_connection_refused",
                 "runner_connection_error", "runner_incomplete_response", "runner_server_error",
                 "internal_error"], "class": "transient", "is_unbilled": true},
       {"code": ["generation_timeout", "downstream_service_error", "internal_server_error"],
        "class": "transient", "is_unbilled": true},
       {"status": 429, "phase": "submit", "class": "rate_limited", "is_unbilled": true},
       {"status": 400, "phase": "submit", "class": "invalid", "is_unbilled": true},
       {"status": 401, "phase": "submit", "class": "invalid", "is_unbilled": true},
       {"status": 403, "phase": "submit", "class": "invalid", "is_unbilled": true},
       {"status": 404, "phase": "submit", "class": "invalid", "is_unbilled": true},
       {"status": 422, "phase": "submit", "class": "invalid", "is_unbilled": true},
       {"status": 422, "phase": "result", "class": "invalid"},
       {"phase": "failure", "class": "invalid"}]',
     '{"code": ["/detail/0/type", "/error_type", "/payload/detail/0/type", "/payload/error_type",
        "header:x-fal-error-type"],
       "message": ["/detail/0/msg", "/detail", "/payload/detail/0/msg", "/payload/detail", "/error",
       "/error/message"]}',
     true, true, null),

    -- Replicate: predictions. The status reply is the prediction, with its output, which it keeps for an
    -- hour. No idempotency key.
    ('replicate', 'Models of replicate.com, by its predictions.', 'https://api.replicate.com/v1', '{}',
     '{replicate.delivery,*.replicate.delivery}',
     '{"header": "Authorization", "prefix": "Bearer ", "env": "REPLICATE_API_TOKEN"}',
     '{"method": "POST", "path": "/models/{endpoint}/predictions", "accept": [200, 201, 202], "id": ["/id"],
       "body": {"input": "{body}", "webhook": "{webhook_url}", "webhook_events_filter": "{webhook_events}"}}',
     '{"path": "/predictions/{id}", "status": ["/status"], "every_ms": 1000, "max_every_ms": 15000,
       "states": {"starting": "queued", "processing": "running", "succeeded": "succeeded", "failed": "failed",
       "canceled": "cancelled", "aborted": "cancelled"}}',
     null,
     '{"method": "POST", "path": "/predictions/{id}/cancel", "accept": [200, 202, 404, 409, 422]}',
     '{"scheme": "standard-webhooks", "secret_env": "REPLICATE_WEBHOOK_SECRET", "tolerance_s": 300, "id": '
     '["/id"]}',
     '[{"status": 429, "class": "rate_limited", "is_unbilled": true},
       {"status": 400, "phase": "submit", "class": "invalid", "is_unbilled": true}, {"status": 401,
        "phase": "submit", "class": "invalid", "is_unbilled": true},
       {"status": 402, "phase": "submit", "class": "invalid", "is_unbilled": true}, {"status": 403,
        "phase": "submit", "class": "invalid", "is_unbilled": true},
       {"status": 404, "phase": "submit", "class": "invalid", "is_unbilled": true}, {"status": 422,
        "phase": "submit", "class": "invalid", "is_unbilled": true},
       {"phase": "failure", "class": "invalid"}]',
     '{"code": ["/title"], "message": ["/error", "/detail", "/title"]}',
     true, true, null),

    -- OpenAI, and what speaks its protocol (LocalAI and others one hosts oneself: another row with another
    -- base_url, and is_paid = false). The reply to the request is the result, minutes later, so a lost one
    -- cannot be asked for again: it is held.
    ('openai', 'Images and speech of OpenAI and of servers that speak its protocol.',
     'https://api.openai.com/v1', '{}', '{*.blob.core.windows.net}',
     '{"header": "Authorization", "prefix": "Bearer ", "env": "OPENAI_API_KEY"}',
     '{"method": "POST", "path": "/{endpoint}", "body": "{body}", "accept": [200]}',
     null, null, null, null,
     '[{"status": 429, "code": ["insufficient_quota"], "class": "invalid", "is_unbilled": true},
        {"status": 429, "class": "rate_limited", "is_unbilled": true},
       {"status": 400, "code": ["content_policy_violation", "moderation_blocked"], "class": "refused",
        "is_unbilled": true},
       {"status": 400, "class": "invalid", "is_unbilled": true}, {"status": 401, "class": "invalid",
        "is_unbilled": true},
       {"status": 403, "class": "invalid", "is_unbilled": true}, {"status": 404, "class": "invalid",
        "is_unbilled": true}]',
     '{"code": ["/error/code", "/error/type"], "message": ["/error/message"]}',
     true, true, null);
update kiln.provider set reply_timeout = '5 minutes', max_reply_bytes = 4194304 where name = 'openai';

-- One pipeline a model: ask the provider in the queue of its kind, then look at what came and make its small
-- picture.
create function pg_temp.model(p_name text, p_type kiln.media_type, p_endpoint text, p_body jsonb,
                              p_outputs jsonb, p_more jsonb, p_title text, p_description text,
                              p_tags text[], p_schema jsonb, p_example jsonb, p_price jsonb, p_limit interval)
returns void
language plpgsql
as $$
declare
    v_version int := kiln.new_pipeline_version(p_name);
begin
    insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit)
    select v_version, 1, 'generate', 'http',
           jsonb_build_object('provider', split_part(p_name, '/', 1), 'endpoint', p_endpoint, 'body', p_body,
                                                               'outputs', p_outputs) || p_more, q.queue_id,
           p_limit
      from kiln.queue q where q.name = p_type::text;
    insert into kiln.stage (pipeline_version_id, position, name, handler, config, queue_id, time_limit)
    select v_version, 2, 'finish', 'media', '{"op": "finish"}', q.queue_id, interval '5 minutes'
      from kiln.queue q where q.name = 'local';
    update kiln.pipeline set description = p_title || ' by ' || split_part(p_name, '/', 1) || '.'
     where name = p_name;
    insert into kiln.model (name, provider_id, pipeline_id, media_type, title, description, tags,
                            params_schema, example, price_micros, price)
    select p_name, v.provider_id, p.pipeline_id, p_type, p_title, p_description, p_tags,
           '{"type": "object", "additionalProperties": false}'::jsonb
           || jsonb_build_object('properties', p_schema),
           p_example || jsonb_build_object('type', p_type, 'model', p_name),
           coalesce((p_price ->> 'base')::bigint, 0), nullif(p_price - 'base', '{}')
      from kiln.provider v, kiln.pipeline p
     where v.name = split_part(p_name, '/', 1) and p.name = p_name;
end
$$;

do $$
declare
    c_image    constant jsonb := '[{"pointer": "/images/*/url", "as": "url", "media_type": "image"}]';
    c_video    constant jsonb := '[{"pointer": "/video/url", "as": "url", "media_type": "video"}]';
    c_audio    constant jsonb := '[{"pointer": "/audio/url", "as": "url", "media_type": "audio"}]';
    c_seed     constant jsonb := '{"keep": {"seed": "/seed"}}';
    c_nsfw     constant jsonb := '{"keep": {"seed": "/seed"}, "blocked": ["/has_nsfw_concepts/*"]}';
    c_size     constant jsonb := '{"type": "string", "enum": ["square_hd", "square", "portrait_4_3", '
                                 '"portrait_16_9", "landscape_4_3", "landscape_16_9"], "default": '
                                 '"landscape_4_3", "title": "Size"}';
    c_format   constant jsonb := '{"type": "string", "enum": ["jpeg", "png"], "default": "png", "title": '
                                 '"File format"}';
    c_ratio    constant jsonb := '{"type": "string", "enum": ["16:9", "9:16"], "default": "16:9", "title": '
                                 '"Aspect ratio"}';
    c_negative constant jsonb := '{"type": "string", "maxLength": 2000, "title": "What to avoid"}';
begin
    perform pg_temp.model('fal/flux-schnell', 'image', 'fal-ai/flux/schnell',
                          '{"$merge": "{params}", "prompt": "{prompt}", "seed": "{seed}", "num_images": 1}',
                          c_image, c_nsfw,
        'FLUX.1 schnell', 'Pictures from words in a second or two.', '{fal,image,fast}',
        jsonb_build_object('image_size', c_size, 'output_format', c_format,
                           'num_inference_steps',
                           '{"type": "integer", "minimum": 1, "maximum": 12, "default": 4,
                             "title": "Steps"}'::jsonb),
        '{"prompt": "a lighthouse by the sea at dusk"}', '{"base": 3000}', '5 minutes');
    perform pg_temp.model('fal/flux-dev', 'image', 'fal-ai/flux/dev',
                          '{"$merge": "{params}", "prompt": "{prompt}", "seed": "{seed}", "num_images": 1}',
                          c_image, c_nsfw,
        'FLUX.1 dev', 'Pictures from words, with more care.', '{fal,image}',
        jsonb_build_object('image_size', c_size, 'output_format', c_format,
                           'num_inference_steps',
                           '{"type": "integer", "minimum": 1, "maximum": 50, "default": 28,
                             "title": "Steps"}'::jsonb,
                           'guidance_scale',
                           '{"type": "number", "minimum": 1, "maximum": 20, "default": 3.5, "title": '
                           '"Guidance"}'::jsonb),
        '{"prompt": "a lighthouse by the sea at dusk"}', '{"base": 25000}', '5 minutes');
    perform pg_temp.model('fal/kontext', 'image', 'fal-ai/flux-pro/kontext',
        '{"$merge": "{params}", "prompt": "{prompt}", "image_url": "{media.0}", "seed": "{seed}", '
        '"num_images": 1}', c_image, c_nsfw,
        'FLUX.1 Kontext', 'Changes a picture as the prompt says.', '{fal,image,edit}',
        jsonb_build_object('output_format', c_format,
                           'guidance_scale',
                           '{"type": "number", "minimum": 1, "maximum": 20, "default": 3.5, "title": '
                           '"Guidance"}'::jsonb),
        '{"prompt": "make it winter"}', '{"base": 40000}', '5 minutes');
    perform pg_temp.model('fal/nano-banana-edit', 'image', 'fal-ai/nano-banana/edit',
        '{"$merge": "{params}", "prompt": "{prompt}", "image_urls": "{media}", "seed": "{seed}", '
        '"num_images": 1}', c_image, c_seed,
        'Nano Banana edit', 'Combines and changes several pictures, also for trying on.',
                          '{fal,image,edit,tryon}',
        jsonb_build_object('output_format',
            '{"type": "string", "enum": ["png", "jpeg", "webp"], "default": "png",
              "title": "File format"}'::jsonb),
        '{"prompt": "put the coat of the second picture on the person of the first"}', '{"base": 39000}',
                          '5 minutes');
    perform pg_temp.model('fal/apartment-staging', 'image', 'fal-ai/flux-2-lora-gallery/apartment-staging',
        '{"$merge": "{params}", "prompt": "{prompt}", "image_urls": "{media}", "seed": "{seed}", '
        '"num_images": 1}', c_image, c_nsfw,
        'Apartment staging', 'Furnishes an empty room.', '{fal,image,edit,staging}',
        jsonb_build_object('output_format', c_format,
                           'guidance_scale',
                           '{"type": "number", "minimum": 1, "maximum": 20, "default": 2.5, "title": '
                           '"Guidance"}'::jsonb),
        '{"prompt": "furnish this room, scandinavian"}', '{"base": 30000}', '5 minutes');
    perform pg_temp.model('fal/wan-i2v', 'video', 'fal-ai/wan-i2v',
        '{"$merge": "{params}", "prompt": "{prompt}", "image_url": "{media.0}", "seed": "{seed}"}', c_video,
                          c_seed,
        'Wan 2.1 image to video', 'Sets a picture in motion.', '{fal,video,tryon}',
        jsonb_build_object('resolution',
              '{"type": "string", "enum": ["480p", "720p"], "default": "480p", "title": "Resolution"}'::jsonb,
                           'num_frames',
                           '{"type": "integer", "minimum": 81, "maximum": 100, "default": 81, "title": '
                           '"Frames"}'::jsonb,
                           'frames_per_second',
                           '{"type": "integer", "minimum": 5, "maximum": 24, "default": 16, "title": "Frames '
                           'a second"}'::jsonb),
        '{"prompt": "she turns around slowly"}', '{"base": 400000}', '20 minutes');
    perform pg_temp.model('fal/veo3-i2v', 'video', 'fal-ai/veo3/image-to-video',
                          '{"$merge": "{params}", "prompt": "{prompt}", "image_url": "{media.0}"}', c_video,
                          '{}',
        'Veo 3 image to video', 'Sets a picture in motion, with sound.', '{fal,video,tryon}',
        jsonb_build_object('duration',
                  '{"type": "string", "enum": ["4s", "6s", "8s"], "default": "8s", "title": "Length"}'::jsonb,
                           'aspect_ratio',
                           '{"type": "string", "enum": ["auto", "16:9", "9:16"], "default": "auto", "title": '
                           '"Aspect ratio"}'::jsonb,
                           'resolution',
                           '{"type": "string", "enum": ["720p", "1080p"], "default": "720p", "title": '
                           '"Resolution"}'::jsonb,
                           'generate_audio',
                           '{"type": "boolean", "default": true, "title": "With sound"}'::jsonb),
        '{"prompt": "she turns around slowly"}', '{"per": "params.duration", "micros": 400000, "default": 8}',
                          '20 minutes');
    perform pg_temp.model('fal/wan-t2v', 'video', 'fal-ai/wan/v2.7/text-to-video',
                          '{"$merge": "{params}", "prompt": "{prompt}", "seed": "{seed}"}', c_video, c_seed,
        'Wan 2.7 text to video', 'A film of two to fifteen seconds from words.', '{fal,video}',
        jsonb_build_object('duration',
            '{"type": "string", "enum": ["2", "3", "4", "5", "6", "8", "10", "12", "15"], "default": "5", '
            '"title": "Seconds"}'::jsonb,
                           'resolution',
                           '{"type": "string", "enum": ["720p", "1080p"], "default": "720p", "title": '
                           '"Resolution"}'::jsonb,
                           'negative_prompt', c_negative),
        '{"prompt": "waves at a lighthouse"}', '{"per": "params.duration", "micros": 100000, "default": 5}',
                          '20 minutes');
    perform pg_temp.model('fal/veo3.1-fast', 'video', 'fal-ai/veo3.1/fast',
                          '{"$merge": "{params}", "prompt": "{prompt}", "seed": "{seed}"}', c_video, '{}',
        'Veo 3.1 fast', 'A film with sound from words.', '{fal,video}',
        jsonb_build_object('duration',
            '{"type": "string", "enum": ["4s", "6s", "8s"], "default": "8s", "title": "Length"}'::jsonb,
                           'aspect_ratio', c_ratio,
                           'resolution',
                           '{"type": "string", "enum": ["720p", "1080p"], "default": "720p", "title": '
                           '"Resolution"}'::jsonb,
                           'generate_audio',
                           '{"type": "boolean", "default": true, "title": "With sound"}'::jsonb,
                           'negative_prompt', c_negative),
        '{"prompt": "waves at a lighthouse, gulls crying"}',
                          '{"per": "params.duration", "micros": 150000, "default": 8}', '20 minutes');
    perform pg_temp.model('fal/kokoro', 'audio', 'fal-ai/kokoro/american-english',
                          '{"$merge": "{params}", "prompt": "{prompt}"}', c_audio, '{}',
        'Kokoro', 'Speech, American English.', '{fal,audio,speech}',
        jsonb_build_object('voice',
                        '{"type": "string", "maxLength": 60, "default": "af_heart", "title": "Voice"}'::jsonb,
                           'speed', '{"type": "number", "minimum": 0.5, "maximum": 2, "default": 1, "title": '
                                    '"Speed"}'::jsonb),
        '{"prompt": "The light is on."}', '{"per": "characters", "micros": 20, "at_least": 1}', '5 minutes');
    perform pg_temp.model('fal/elevenlabs', 'audio', 'fal-ai/elevenlabs/tts/multilingual-v2',
                          '{"$merge": "{params}", "text": "{prompt}"}', c_audio, '{}',
        'ElevenLabs multilingual v2', 'Speech in many languages.', '{fal,audio,speech}',
        jsonb_build_object('voice',
                          '{"type": "string", "maxLength": 60, "default": "Rachel", "title": "Voice"}'::jsonb,
                           'stability', '{"type": "number", "minimum": 0, "maximum": 1, "default": 0.5, '
                                        '"title": "Stability"}'::jsonb),
        '{"prompt": "The light is on."}', '{"per": "characters", "micros": 100, "at_least": 1}', '5 minutes');
    perform pg_temp.model('fal/stable-audio', 'audio', 'fal-ai/stable-audio',
                          '{"$merge": "{params}", "prompt": "{prompt}"}',
        '[{"pointer": "/audio_file/url", "as": "url", "media_type": "audio"}]', '{}',
        'Stable Audio', 'Music and sounds from words.', '{fal,audio,music}',
        jsonb_build_object('seconds_total',
                 '{"type": "integer", "minimum": 1, "maximum": 47, "default": 30, "title": "Seconds"}'::jsonb,
                           'steps', '{"type": "integer", "minimum": 10, "maximum": 150, "default": 100, '
                                    '"title": "Steps"}'::jsonb),
        '{"prompt": "calm waves, a distant foghorn"}', '{"base": 10000}', '5 minutes');
    perform pg_temp.model('replicate/flux-schnell', 'image', 'black-forest-labs/flux-schnell',
                          '{"$merge": "{params}", "prompt": "{prompt}", "seed": "{seed}", "num_outputs": 1}',
        '[{"pointer": "/output/*", "as": "url", "media_type": "image"}]', '{}',
        'FLUX.1 schnell on Replicate', 'Pictures from words in a second or two.', '{replicate,image,fast}',
        jsonb_build_object('aspect_ratio',
            '{"type": "string", "enum": ["1:1", "16:9", "9:16", "4:3", "3:4"], "default": "1:1", "title": '
            '"Aspect ratio"}'::jsonb,
                           'output_format',
                           '{"type": "string", "enum": ["webp", "jpg", "png"], "default": "png", "title": '
                           '"File format"}'::jsonb),
        '{"prompt": "a lighthouse by the sea at dusk"}', '{"base": 3000}', '5 minutes');
    perform pg_temp.model('openai/gpt-image', 'image', 'images/generations',
                          '{"$merge": "{params}", "model": "gpt-image-1", "prompt": "{prompt}", "n": 1}',
        '[{"pointer": "/data/*/b64_json", "as": "base64", "media_type": "image"}]', '{}',
        'GPT Image', 'Pictures from words, by OpenAI.', '{openai,image}',
        jsonb_build_object('size',
            '{"type": "string", "enum": ["auto", "1024x1024", "1536x1024", "1024x1536"], "default": "auto", '
            '"title": "Size"}'::jsonb,
                           'quality', '{"type": "string", "enum": ["auto", "low", "medium", "high"], '
                                      '"default": "auto", "title": "Quality"}'::jsonb,
                           'output_format',
                           '{"type": "string", "enum": ["png", "jpeg", "webp"], "default": "png", "title": '
                           '"File format"}'::jsonb),
        '{"prompt": "a lighthouse by the sea at dusk"}', '{"base": 60000}', '6 minutes');
    perform pg_temp.model('openai/tts', 'audio', 'audio/speech',
                          '{"$merge": "{params}", "model": "gpt-4o-mini-tts", "input": "{prompt}"}',
        '[{"as": "binary", "media_type": "audio"}]', '{}',
        'OpenAI speech', 'Speech in many languages, by OpenAI.', '{openai,audio,speech}',
        jsonb_build_object('voice',
            '{"type": "string", "enum": ["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", '
            '"verse", "marin", "cedar"], "default": "alloy", "title": "Voice"}'::jsonb,
                           'response_format',
                           '{"type": "string", "enum": ["mp3", "opus", "aac", "flac", "wav"], "default": '
                           '"mp3", "title": "File format"}'::jsonb),
        '{"prompt": "The light is on."}', '{"per": "characters", "micros": 15, "at_least": 1}', '6 minutes');
end
$$;
drop function pg_temp.model;
update kiln.model set min_media = 1
 where name in ('fal/kontext', 'fal/nano-banana-edit', 'fal/apartment-staging', 'fal/wan-i2v',
                'fal/veo3-i2v');
