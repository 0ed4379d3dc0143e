/*
 * framing: the rules of RFC 9112 §2.2, §3, §5 and §6 for the head of a request; see framing.h.
 */
#include "server/http/framing.h"

#include <string.h>
#include <strings.h>

static bool is_token(const char *text, size_t bytes)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
              || (c && strchr(marks, c))))
            return false;
    }
    return bytes > 0;
}

/* No control characters, a lone CR among them; a tab may stand in a value, a blank only where it
 * is allowed. */
static bool is_text(const char *text, size_t bytes, const char *also)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c <= ' ' || c == 0x7f) && (c == 0 || !strchr(also, c)))
            return false;
    }
    return true;
}

static bool is_host(const char *text, size_t bytes)
{
    return is_text(text, bytes, "") && !memchr(text, '/', bytes) && !memchr(text, '?', bytes)
           && !memchr(text, '#', bytes) && !memchr(text, '@', bytes) && !memchr(text, ',', bytes);
}

static void fault(struct framing *framing, const char *sentence)
{
    if (!framing->wrong)
        framing->wrong = sentence;
}

/* Behind the last byte of a line there is its CRLF, of which two NULs are left. A lone LF leaves
 * one. */
static void end_line(struct framing *framing, const char *end)
{
    if (end[0] != '\0' || end[1] != '\0')
        fault(framing, "Each line of the head must end in CRLF.");
    framing->at = end + 2;
}

bool framing_target_is_sound(const char *target)
{
    return is_text(target, strlen(target), "");
}

void framing_begin(struct framing *framing, const char *method, const char *target,
                   size_t target_bytes, const char *version)
{
    size_t method_bytes = strlen(method);

    *framing = (struct framing) { .is_1_0 = strcmp(version, "HTTP/1.0") == 0 };
    if (!is_token(method, method_bytes) || target != method + method_bytes + 1
        || version != target + target_bytes + 1 || target_bytes == 0)
        fault(framing, "The first line must be a method, a target and a version, with one blank "
                       "between them.");
    else
        end_line(framing, version + strlen(version));
}

static void count(struct framing *framing, const char *name, const char *value, size_t value_bytes)
{
    if (strcasecmp(name, "Content-Length") == 0) {
        framing->lengths++;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        framing->encodings++;
        if (strcasecmp(value, "chunked") != 0)
            fault(framing, "Transfer-Encoding must be chunked.");
    } else if (strcasecmp(name, "Host") == 0) {
        framing->hosts++;
        if (!is_host(value, value_bytes))
            fault(framing, "Host must be a name or an address, with a port where it has one.");
    }
}

void framing_header(struct framing *framing, const char *name, size_t name_bytes, const char *value,
                    size_t value_bytes)
{
    if (framing->wrong)
        return;
    if (name != framing->at) {
        fault(framing, "A line of the head has no name and colon of its own, or holds a NUL.");
        return;
    }
    if (!is_token(name, name_bytes)) {
        fault(framing, "The name of a header must be a word, with the colon right behind it.");
        return;
    }
    for (const char *gap = name + name_bytes + 1; gap < value; gap++) {
        if (*gap != ' ' && *gap != '\t') {
            fault(framing, "A line of the head is not one header.");
            return;
        }
    }
    if (value <= name + name_bytes || !is_text(value, value_bytes, " \t")) {
        fault(framing, "The value of a header holds a control character.");
        return;
    }
    count(framing, name, value, value_bytes);
    end_line(framing, value + value_bytes);
}

const char *framing_end(struct framing *framing, const char *end)
{
    if (framing->wrong)
        return framing->wrong;
    if (framing->at + 2 != end || framing->at[0] != '\0' || framing->at[1] != '\0')
        fault(framing, "The head must end in an empty line.");
    else if (framing->lengths > 1)
        fault(framing, "There must be one Content-Length at most.");
    else if (framing->encodings > 1)
        fault(framing, "There must be one Transfer-Encoding at most.");
    else if (framing->encodings && framing->lengths)
        fault(framing, "Content-Length and Transfer-Encoding exclude each other.");
    else if (framing->encodings && framing->is_1_0)
        fault(framing, "HTTP/1.0 knows no Transfer-Encoding.");
    else if (framing->hosts > 1 || (framing->hosts == 0 && !framing->is_1_0))
        fault(framing, "There must be exactly one Host.");
    return framing->wrong;
}
