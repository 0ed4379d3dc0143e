/* Everything the runner reads from others. The first byte says what the rest is. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array_literal.h"
#include "pipeline_runner/exec/protocol.h"
#include "pipeline_runner/http/retry_after.h"

static void fuzz_progress(char *text)
{
    double fraction = -1;
    char   label[PROTOCOL_LABEL_MAX];

    if (protocol_progress(text, &fraction, label, sizeof label))
        assert(fraction >= 0 && fraction <= 1 && strlen(label) < sizeof label);
}

static void fuzz_reply(struct arena *arena, const char *text, size_t bytes)
{
    struct protocol_reply reply;
    struct err            err;
    int64_t               ids[PROTOCOL_FILES_MAX] = { 0 };

    err_clear(&err);
    if (!protocol_parse(arena, text, bytes, &reply, &err)) {
        assert(err.message[0]);
        return;
    }
    for (size_t i = 0; i < reply.nfiles; i++)
        assert(protocol_path_ok(reply.files[i].file) && !strstr(reply.files[i].file, "/../"));
    free(protocol_output(&reply, ids, reply.nfiles));
    protocol_reply_free(&reply);
}

static void fuzz_media(struct arena *arena, const char *text)
{
    struct protocol_input *inputs;
    size_t                 count;
    struct jbuf            out  = { 0 };
    struct protocol_task   task = { "1", "2", text, 1, "{}", "{}" };

    if (protocol_media(arena, text, &inputs, &count, NULL))
        protocol_request(&out, &task, inputs, count);
    jbuf_free(&out);
}

static void fuzz_clean(char *text)
{
    char *twice;

    protocol_clean(text);
    twice = strdup(text);
    protocol_clean(twice);
    assert(strcmp(text, twice) == 0); /* what is clean stays as it is */
    free(twice);
}

static void fuzz_literal(const char *text)
{
    struct array_literal literal = { 0 };

    array_literal_begin(&literal);
    array_literal_add(&literal, text);
    assert(strlen(array_literal_end(&literal)) >= strlen(text) + 4);
    array_literal_free(&literal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena         *arena;
    struct protocol_probe probe;
    char                 *text;

    if (size == 0)
        return 0;
    arena = arena_open(1024);
    text  = arena_strndup(arena, (const char *)data + 1, size - 1);
    switch (data[0] % 7) {
    case 0: fuzz_progress(text); break;
    case 1: fuzz_reply(arena, (const char *)data + 1, size - 1); break;
    case 2: fuzz_media(arena, text); break;
    case 3: fuzz_clean(text); break;
    case 4: fuzz_literal(text); break;
    case 5:
        (void)!protocol_parse_probe(arena, (const char *)data + 1, size - 1, &probe, NULL);
        break;
    default: assert(retry_after_ms(text, 0) >= -1 && retry_after_ms(text, 0) <= 86400000);
    }
    arena_close(arena);
    return 0;
}
