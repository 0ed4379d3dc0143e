/*
 * jbuf: writes JSON into a growing buffer. Commas and escapes are its business; what it writes is
 * always valid UTF-8 (an invalid byte becomes U+FFFD) and, if begins and ends match (asserted),
 * always valid JSON.
 *
 *   struct jbuf j = { 0 };
 *   jbuf_object(&j);
 *     jbuf_key(&j, "task_id");  jbuf_i64s(&j, 7);
 *     jbuf_key(&j, "media");    jbuf_array(&j);  jbuf_end(&j);
 *   jbuf_end(&j);
 *   send(jbuf_text(&j));  jbuf_free(&j);
 *
 * Bound: nesting of 60. Without memory the program ends.
 */
#ifndef KILN_JBUF_H
#define KILN_JBUF_H

#include "lib/base.h"

struct jbuf {
    char    *text; /* NUL-ended once something was written */
    size_t   len;
    size_t   cap;
    unsigned depth;
    uint64_t is_array;   /* a bit per level */
    uint64_t has_member; /* a bit per level */
    bool     is_after_key;
};

void jbuf_free(struct jbuf *j);  /* leaves it empty and usable */
void jbuf_reset(struct jbuf *j); /* empty, keeps the memory */

void jbuf_object(struct jbuf *j);
void jbuf_array(struct jbuf *j);
void jbuf_end(struct jbuf *j); /* closes the innermost object or array */

void jbuf_key(struct jbuf *j, const char *key);
void jbuf_str(struct jbuf *j, const char *text); /* NULL becomes null */
void jbuf_strn(struct jbuf *j, const char *text, size_t bytes);
void jbuf_i64(struct jbuf *j, int64_t number);
void jbuf_i64s(struct jbuf *j, int64_t number); /* as a string: ids are strings */
void jbuf_f64(struct jbuf *j, double number);   /* not finite: null */
void jbuf_bool(struct jbuf *j, bool is_true);
void jbuf_null(struct jbuf *j);
void jbuf_raw(struct jbuf *j,
              const char  *json); /* a value that is JSON already; the caller vouches for it */

/* Whether text is valid UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
bool jbuf_is_utf8(const char *text, size_t bytes);

const char *jbuf_text(const struct jbuf *j);
char       *jbuf_take(struct jbuf *j); /* malloc'ed text for the caller to free; j is empty after */

#endif
