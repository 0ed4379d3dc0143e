/*
 * protocol: builds what a tool reads and checks what it answers.
 */
#include "pipeline_runner/exec/protocol.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/openat2.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/jscan.h"

static const char *const outcome_names[] = {
    [OUTCOME_DONE]         = "done",
    [OUTCOME_TRANSIENT]    = "transient",
    [OUTCOME_RATE_LIMITED] = "rate_limited",
    [OUTCOME_INVALID]      = "invalid",
    [OUTCOME_REFUSED]      = "refused",
    [OUTCOME_TIMEOUT]      = "timeout",
    [OUTCOME_UNKNOWN]      = "unknown",
    [OUTCOME_CANCELLED]    = "cancelled",
};

const char *outcome_name(enum outcome outcome)
{
    return outcome_names[outcome];
}

enum outcome protocol_exit(int status)
{
    if (!WIFEXITED(status))
        return OUTCOME_TRANSIENT; /* a signal: killed for its memory, crashed, or by a person */
    switch (WEXITSTATUS(status)) {
    case 0: return OUTCOME_DONE;
    case EX_DATAERR: return OUTCOME_INVALID;
    case EX_NOPERM: return OUTCOME_REFUSED;
    default: return OUTCOME_TRANSIENT; /* EX_TEMPFAIL says so; others are given another try too */
    }
}

/* Cuts at size - 1 bytes, then back to the last whole character. */
static void copy_label(char *label, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);

    if (text[len])
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
            len--;
    memcpy(label, text, len);
    label[len] = '\0';
}

bool protocol_progress(const char *line, double *fraction, char *label, size_t size)
{
    static const char word[] = "progress ";
    const char       *number = line + sizeof word - 1;
    char             *end;

    /* strtod alone would take "nan", "0x1p3" and a leading space. */
    if (strncmp(line, word, sizeof word - 1) != 0 || number[strspn(number, "0123456789.")] > ' '
        || !isdigit((unsigned char)number[0]))
        return false;
    *fraction = strtod(number, &end);
    if (end == number || (*end && *end != ' ' && *end != '\t'))
        return false;
    if (!(*fraction < 1))
        *fraction = 1;
    copy_label(label, size, end + strspn(end, " \t"));
    return true;
}

/* Bytes of the UTF-8 character at text; 0: it is none (RFC 3629: no overlong form, no surrogate,
 * at most U+10FFFF). */
static size_t character(const unsigned char *text)
{
    size_t   len    = text[0] < 0x80   ? 1
                      : text[0] < 0xC2 ? 0
                      : text[0] < 0xE0 ? 2
                      : text[0] < 0xF0 ? 3
                      : text[0] < 0xF5 ? 4
                                       : 0;
    unsigned second = len > 2 ? text[1] : 0;

    for (size_t i = 1; i < len; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    if ((text[0] == 0xE0 && second < 0xA0) || (text[0] == 0xED && second > 0x9F)
        || (text[0] == 0xF0 && second < 0x90) || (text[0] == 0xF4 && second > 0x8F))
        return 0;
    return len;
}

void protocol_clean(char *text)
{
    while (*text) {
        size_t len = character((const unsigned char *)text);

        if (len == 0 || (unsigned char)*text < ' ' || *text == 0x7F) {
            *text = '?';
            len   = 1;
        }
        text += len;
    }
}

static bool bad(struct err *err, const char *what)
{
    err_set(err, "22023", "%s", what);
    return false;
}

static json_t *parse(const char *text, size_t bytes, const char *who, struct err *err)
{
    json_error_t why;
    struct err   wrong;
    json_t      *json;

    if (!jscan_check(text, bytes, &wrong)) {
        err_set(err, "22P02", "%s is refused: %s", who, wrong.message);
        return NULL;
    }
    json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    if (!json)
        err_set(err, "22P02", "%s is not JSON: %s (line %d)", who, why.text, why.line);
    return json;
}

static const char *text_of(struct arena *arena, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? arena_strdup(arena, text) : NULL;
}

static int64_t number_of(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);

    return json_is_integer(number) && json_integer_value(number) >= 0 ? json_integer_value(number)
                                                                      : -1;
}

/* ---- in ---- */

static const char *extension(const char *content_type)
{
    static const struct {
        const char *type, *extension;
    } known[] = {
        { "image/png", ".png" },  { "image/jpeg", ".jpg" }, { "image/webp", ".webp" },
        { "image/gif", ".gif" },  { "video/mp4", ".mp4" },  { "video/webm", ".webm" },
        { "audio/mpeg", ".mp3" }, { "audio/wav", ".wav" },  { "audio/x-wav", ".wav" },
        { "audio/ogg", ".ogg" },
    };

    for (size_t i = 0; content_type && i < countof(known); i++)
        if (strcmp(content_type, known[i].type) == 0)
            return known[i].extension;
    return "";
}

static bool read_input(struct arena *arena, const json_t *item, size_t index,
                       struct protocol_input *input)
{
    input->media_id     = text_of(arena, item, "media_id");
    input->storage_key  = text_of(arena, item, "storage_key");
    input->content_type = text_of(arena, item, "content_type");
    input->media_type   = text_of(arena, item, "media_type");
    input->width        = number_of(item, "width");
    input->height       = number_of(item, "height");
    input->duration_ms  = number_of(item, "duration_ms");
    input->file         = arena_printf(arena, "in/%zu%s", index, extension(input->content_type));
    return input->media_id && input->storage_key;
}

bool protocol_media(struct arena *arena, const char *json, struct protocol_input **inputs,
                    size_t *count, struct err *err)
{
    json_t *list = parse(json, strlen(json), "the task's media", err);
    bool    ok   = json_is_array(list) && json_array_size(list) <= PROTOCOL_FILES_MAX;

    *count  = ok ? json_array_size(list) : 0;
    *inputs = arena_alloc(arena, (*count + 1) * sizeof **inputs);
    for (size_t i = 0; ok && i < *count; i++)
        ok = read_input(arena, json_array_get(list, i), i, &(*inputs)[i]);
    if (list && !ok)
        bad(err, "the task's media is not a list of at most 64 files");
    json_decref(list);
    return ok;
}

static void number_or_null(struct jbuf *out, const char *key, int64_t number)
{
    jbuf_key(out, key);
    if (number < 0)
        jbuf_null(out);
    else
        jbuf_i64(out, number);
}

static void pair(struct jbuf *out, const char *key, const char *text)
{
    jbuf_key(out, key);
    jbuf_str(out, text);
}

static void write_input(struct jbuf *out, const struct protocol_input *input)
{
    jbuf_object(out);
    pair(out, "media_id", input->media_id);
    pair(out, "file", input->file);
    pair(out, "content_type", input->content_type);
    pair(out, "media_type", input->media_type);
    number_or_null(out, "width", input->width);
    number_or_null(out, "height", input->height);
    number_or_null(out, "duration_ms", input->duration_ms);
    jbuf_end(out);
}

void protocol_request(struct jbuf *out, const struct protocol_task *task,
                      const struct protocol_input *inputs, size_t count)
{
    jbuf_object(out);
    pair(out, "job_id", task->job_id);
    pair(out, "task_id", task->task_id);
    pair(out, "stage", task->stage);
    jbuf_key(out, "attempt");
    jbuf_i64(out, task->attempt);
    jbuf_key(out, "config");
    jbuf_raw(out, task->config);
    jbuf_key(out, "input");
    jbuf_raw(out, task->input);
    jbuf_key(out, "media");
    jbuf_array(out);
    for (size_t i = 0; i < count; i++)
        write_input(out, &inputs[i]);
    jbuf_end(out);
    jbuf_end(out);
}

/* ---- out ---- */

bool protocol_path_ok(const char *path)
{
    size_t len = strlen(path);

    if (strncmp(path, "out/", 4) != 0 || len > PROTOCOL_PATH_MAX)
        return false;
    for (const char *part = path;; part++) {
        size_t part_len = strcspn(part, "/");

        if (part_len == 0 || (part_len == 1 && part[0] == '.')
            || (part_len == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        for (size_t i = 0; i < part_len; i++)
            if ((unsigned char)part[i] < ' ' || part[i] == 0x7F)
                return false;
        part += part_len;
        if (!*part)
            return true;
    }
}

static bool read_file(struct arena *arena, const json_t *item, struct protocol_file *file,
                      struct err *err)
{
    const char *role;

    file->file  = text_of(arena, item, "file");
    file->role  = text_of(arena, item, "role");
    role        = file->role ? file->role : "";
    file->clean = text_of(arena, item, "clean");
    if (!file->file || !protocol_path_ok(file->file)
        || (file->clean && !protocol_path_ok(file->clean)))
        return bad(err, "the tool named a file that is not below out/");
    if (strcmp(role, "output") != 0 && strcmp(role, "work") != 0)
        return bad(err, "the tool gave a file a role that is neither output nor work");
    return true;
}

static bool read_reply(struct arena *arena, const json_t *json, struct protocol_reply *reply,
                       struct err *err)
{
    const json_t *files  = json_object_get(json, "media");
    json_t       *output = json_object_get(json, "output");

    if (!json_is_object(output))
        return bad(err, "the tool's answer has no object \"output\"");
    if (files && !json_is_array(files))
        return bad(err, "the tool's \"media\" is not a list");
    if (json_array_size(files) > PROTOCOL_FILES_MAX)
        return bad(err, "the tool made more than 64 files");
    reply->nfiles = json_array_size(files);
    reply->files  = arena_alloc(arena, (reply->nfiles + 1) * sizeof *reply->files);
    for (size_t i = 0; i < reply->nfiles; i++)
        if (!read_file(arena, json_array_get(files, i), &reply->files[i], err))
            return false;
    reply->output = json_incref(output);
    return true;
}

bool protocol_parse(struct arena *arena, const char *text, size_t bytes,
                    struct protocol_reply *reply, struct err *err)
{
    json_t *json = parse(text, bytes, "the tool's answer", err);
    bool    ok;

    *reply = (struct protocol_reply) { 0 };
    ok     = json && read_reply(arena, json, reply, err);
    json_decref(json);
    return ok;
}

void protocol_reply_free(struct protocol_reply *reply)
{
    json_decref(reply->output);
    reply->output = NULL;
}

char *protocol_output(struct protocol_reply *reply, const int64_t *media_ids, size_t count)
{
    json_t *ids = json_array();
    char    text[24];

    for (size_t i = 0; i < count; i++) {
        int len = snprintf(text, sizeof text, "%lld", (long long)media_ids[i]);

        json_array_append_new(ids, json_stringn(text, (size_t)len));
    }
    /* A tool that made no file leaves the media of the stage before it as it said. */
    if (count > 0)
        json_object_set(reply->output, "media", ids);
    json_decref(ids);
    return json_dumps(reply->output, JSON_COMPACT);
}

int protocol_open(int folder_fd, const char *path, uint64_t *bytes, struct err *err)
{
    /* One call that resolves the whole path under these rules leaves no moment to swap a part for
     * a link. O_NONBLOCK: opening a fifo would otherwise wait for a writer. */
    struct open_how how = {
        .flags   = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int         fd = (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof how);
    struct stat st;

    if (fd < 0) {
        const char *why =
            errno == ENOENT ? "does not exist" : "cannot be opened, or is a symbolic link";

        err_set(err, "22023", "the tool's file %s %s", path, why);
        return -1;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        err_set(err, "22023", "the tool's file %s is not a regular file", path);
        close(fd);
        return -1;
    }
    *bytes = (uint64_t)st.st_size;
    return fd;
}

bool protocol_parse_probe(struct arena *arena, const char *text, size_t bytes,
                          struct protocol_probe *probe, struct err *err)
{
    json_t *json = parse(text, bytes, "the probe's answer", err);

    *probe = (struct protocol_probe) { 0 };
    if (!json)
        return false;
    probe->media_type   = text_of(arena, json, "media_type");
    probe->content_type = text_of(arena, json, "content_type");
    probe->width        = number_of(json, "width");
    probe->height       = number_of(json, "height");
    probe->duration_ms  = number_of(json, "duration_ms");
    json_decref(json);
    return probe->media_type && probe->content_type ? true
                                                    : bad(err, "the probe's answer names no type");
}
