/*
 * protocol: what the runner and a tool say to one another, as pure functions.
 *
 * In: one JSON on stdin. Out: "progress 0.42 drawing" lines on stderr, one JSON on stdout, files in
 * out/, an exit code. The tool may be anyone's program and may have been taken over by a hostile
 * picture: nothing it says is believed without a check.
 */
#ifndef RUNNER_PROTOCOL_H
#define RUNNER_PROTOCOL_H

#include "lib/arena.h"
#include "lib/base.h"
#include "lib/err.h"
#include "lib/jbuf.h"

#define PROTOCOL_FILES_MAX  64
#define PROTOCOL_PATH_MAX   255
#define PROTOCOL_LABEL_MAX  120
#define PROTOCOL_STDOUT_MAX ((size_t)1 << 20)

/* The classes of kiln_runner.fail(). */
enum outcome {
    OUTCOME_DONE,
    OUTCOME_TRANSIENT,
    OUTCOME_RATE_LIMITED,
    OUTCOME_INVALID,
    OUTCOME_REFUSED,
    OUTCOME_TIMEOUT,
    OUTCOME_UNKNOWN,
    OUTCOME_CANCELLED,
};

const char *outcome_name(enum outcome outcome);

/* Exit code or signal, as waitpid() gives it. */
enum outcome protocol_exit(int status);

/* "progress FRACTION [LABEL]". False: another line. The fraction is cut to 0..1; label gets at
 * most size - 1 bytes, never half of a UTF-8 character. */
bool protocol_progress(const char *line, double *fraction, char *label, size_t size);

/* In place: control characters and what is not UTF-8 become '?'. What a tool or a provider says
 * goes into a text column, which refuses anything else. */
void protocol_clean(char *text);

/* One file of the input, as it lies in in/. */
struct protocol_input {
    const char *media_id;
    const char *storage_key;
    const char *file;         /* "in/0.png" */
    const char *content_type; /* NULL = not known, as all below */
    const char *media_type;
    int64_t     width, height, duration_ms; /* -1 = null */
};

/* Reads the `media` of a claimed task. False: it is not what the contract says. */
MUST_CHECK bool protocol_media(struct arena *arena, const char *json,
                               struct protocol_input **inputs, size_t *count, struct err *err);

struct protocol_task {
    const char *job_id, *task_id, *stage;
    int         attempt;
    const char *config, *input; /* JSON objects as PostgreSQL gave them */
};

void protocol_request(struct jbuf *out, const struct protocol_task *task,
                      const struct protocol_input *inputs, size_t count);

/* One file the tool says it made. */
struct protocol_file {
    const char *file;  /* checked by protocol_path_ok() */
    const char *role;  /* "output" or "work" */
    const char *clean; /* the same without its label, checked as well; or NULL */
};

struct protocol_reply {
    void                 *output; /* a json_t object; protocol_reply_free() releases it */
    struct protocol_file *files;  /* in the arena */
    size_t                nfiles;
};

MUST_CHECK bool protocol_parse(struct arena *arena, const char *text, size_t bytes,
                               struct protocol_reply *reply, struct err *err);
void            protocol_reply_free(struct protocol_reply *reply);

/* The output with `media` set to the ids; malloc'ed. */
char *protocol_output(struct protocol_reply *reply, const int64_t *media_ids, size_t count);

/* "out/…": relative, below out/, no "..", "." or empty part, no control character. */
bool protocol_path_ok(const char *path);

/* Opens such a file for reading; never through a symbolic link, never what is not a regular file.
 * -1: *err says why. */
int protocol_open(int folder_fd, const char *path, uint64_t *bytes, struct err *err);

/* The answer of `kiln-media probe`. */
struct protocol_probe {
    const char *media_type, *content_type;
    int64_t     width, height, duration_ms; /* -1 = null */
};

MUST_CHECK bool protocol_parse_probe(struct arena *arena, const char *text, size_t bytes,
                                     struct protocol_probe *probe, struct err *err);

#endif
