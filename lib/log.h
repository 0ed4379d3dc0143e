/*
 * log: structured lines on stderr, one JSON object (or one line of text) each:
 *  
 * {"ts":"2026-01-02T03:04:05.678Z","level":"info","program":"kiln-runner","msg":"…","task_id":"7"}
 *
 * Fields are pairs of strings ended by NULL; a pair whose value is NULL is left out. Never pass a
 * secret, a token, a ticket, a signed query string or a DATABASE_URL: nothing here can recognise
 * one.
 *
 *   log_info("claimed", "task_id", task_id, "attempt", LOG_I64(attempt), NULL);
 *
 * Its settings are the one piece of state in lib/ that is not passed in: written once at start,
 * before the loop runs, and only read after that.
 */
#ifndef KILN_LOG_H
#define KILN_LOG_H

#include "lib/base.h"
#include "lib/err.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_setup(const char *program, enum log_level level, bool is_json);
bool log_wants(enum log_level level);

void log_write(enum log_level level, const char *msg, ...) __attribute__((sentinel));

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

/* A number as a field's value; lives as long as the enclosing block. */
#define LOG_I64(number) log_i64((char[24]) { 0 }, (int64_t)(number))
const char *log_i64(char text[24], int64_t number);

/* One line on stderr whatever the level and the format, for a program that ends at start. */
void log_fatal(const char *program, const struct err *err);

#endif
