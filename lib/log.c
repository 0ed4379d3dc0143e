/*
 * log: one line, one write(2), so that lines of several processes on one stderr do not mix.
 */
#include "lib/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/jbuf.h"

static struct {
    const char    *program;
    enum log_level level;
    bool           is_json;
} settings = { "kiln", LOG_LEVEL_INFO, true };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_setup(const char *program, enum log_level level, bool is_json)
{
    settings.program = program;
    settings.level   = level;
    settings.is_json = is_json;
}

bool log_wants(enum log_level level)
{
    return level >= settings.level;
}

const char *log_i64(char text[24], int64_t number)
{
    snprintf(text, 24, "%" PRId64, number);
    return text;
}

static void timestamp(char *out, size_t size)
{
    struct timespec ts;
    struct tm       tm;
    char            day_time[32];

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    strftime(day_time, sizeof(day_time), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size, "%s.%06uZ", day_time, (unsigned)(ts.tv_nsec / 1000) % 1000000);
}

/* A log that cannot be written must not stop the work, so the result is not looked at. */
static void put(const char *text, size_t bytes)
{
    ssize_t written = write(STDERR_FILENO, text, bytes);

    (void)written;
}

static void write_json(enum log_level level, const char *ts, const char *msg, va_list args)
{
    struct jbuf j = { 0 };
    const char *key, *value;

    jbuf_object(&j);
    jbuf_key(&j, "ts");
    jbuf_str(&j, ts);
    jbuf_key(&j, "level");
    jbuf_str(&j, level_names[level]);
    jbuf_key(&j, "program");
    jbuf_str(&j, settings.program);
    jbuf_key(&j, "msg");
    jbuf_str(&j, msg);
    while ((key = va_arg(args, const char *))) {
        value = va_arg(args, const char *);
        if (!value)
            continue;
        jbuf_key(&j, key);
        jbuf_str(&j, value);
    }
    jbuf_end(&j);
    jbuf_raw(&j, "\n"); /* depth is 0 again: appended as it is */
    put(j.text, j.len);
    jbuf_free(&j);
}

/* For eyes: line breaks and control characters in a value must not forge another line. */
static void append_plain(char *line, size_t size, size_t *len, const char *text)
{
    for (; *text && *len < size - 2; text++)
        line[(*len)++] = (unsigned char)*text < ' ' || *text == 127 ? ' ' : *text;
}

static void write_text(enum log_level level, const char *ts, const char *msg, va_list args)
{
    char        line[4096];
    size_t      len = 0;
    const char *key, *value;

    append_plain(line, sizeof(line), &len, ts);
    append_plain(line, sizeof(line), &len, " ");
    append_plain(line, sizeof(line), &len, level_names[level]);
    append_plain(line, sizeof(line), &len, " ");
    append_plain(line, sizeof(line), &len, msg);
    while ((key = va_arg(args, const char *))) {
        value = va_arg(args, const char *);
        if (!value)
            continue;
        append_plain(line, sizeof(line), &len, " ");
        append_plain(line, sizeof(line), &len, key);
        append_plain(line, sizeof(line), &len, "=");
        append_plain(line, sizeof(line), &len, value);
    }
    line[len++] = '\n';
    put(line, len);
}

void log_write(enum log_level level, const char *msg, ...)
{
    char    ts[40];
    va_list args;

    if (!log_wants(level))
        return;
    timestamp(ts, sizeof(ts));
    va_start(args, msg);
    if (settings.is_json)
        write_json(level, ts, msg, args);
    else
        write_text(level, ts, msg, args);
    va_end(args);
}

void log_fatal(const char *program, const struct err *err)
{
    fprintf(stderr, "%s: %s%s%s\n", program, err->message, err->detail[0] ? " — " : "",
            err->detail);
}
