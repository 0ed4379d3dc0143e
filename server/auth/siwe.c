/*
 * siwe: grammar, policy, signature: in this order, so that each refusal names the first thing
 * wrong.
 */
#include "server/auth/siwe.h"

#include <ctype.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "server/auth/hex.h"
#include "server/auth/keccak.h"
#include "server/http/problem.h"

/* ---- letters ---- */

struct slice {
    const char *text;
    size_t      bytes;
};

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c);
}

static bool are_all(struct slice s, const char *besides)
{
    for (size_t i = 0; i < s.bytes; i++)
        if (!is_word(s.text[i]) && !is_one_of(s.text[i], besides))
            return false;
    return true;
}

static bool escapes_are_whole(struct slice s)
{
    for (size_t i = 0; i < s.bytes; i++)
        if (s.text[i] == '%'
            && (i + 2 >= s.bytes || !isxdigit((unsigned char)s.text[i + 1])
                || !isxdigit((unsigned char)s.text[i + 2])))
            return false;
    return true;
}

static bool is_uri(struct slice s)
{
    const char *colon = memchr(s.text, ':', s.bytes);
    size_t      head  = colon ? (size_t)(colon - s.text) : 0;

    return head > 0 && isalpha((unsigned char)s.text[0])
           && are_all((struct slice) { s.text, head }, "+-.")
           && are_all(s, "-._~:/?#[]@!$&'()*+,;=%") && escapes_are_whole(s);
}

static bool copy(struct slice s, char *to, size_t size)
{
    if (s.bytes >= size)
        return false;
    memcpy(to, s.text, s.bytes);
    to[s.bytes] = '\0';
    return true;
}

/* ---- time ---- */

static bool take_number(const char **at, size_t digits, int min, int max, int *number)
{
    *number = 0;
    for (size_t i = 0; i < digits; i++) {
        if ((*at)[i] < '0' || (*at)[i] > '9')
            return false;
        *number = *number * 10 + ((*at)[i] - '0');
    }
    *at += digits;
    return *number >= min && *number <= max;
}

static bool take_char(const char **at, char c)
{
    return *(*at)++ == c;
}

static bool take_date(const char **at, struct tm *tm)
{
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int              year, month, day;

    if (!take_number(at, 4, 1970, 9999, &year) || !take_char(at, '-')
        || !take_number(at, 2, 1, 12, &month) || !take_char(at, '-')
        || !take_number(at, 2, 1, days[month - 1], &day))
        return false;
    *tm = (struct tm) { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
    return month != 2 || day < 29 || (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static bool take_fraction(const char **at)
{
    size_t digits;

    if (**at != '.')
        return true;
    digits = strspn(*at + 1, "0123456789");
    *at += 1 + digits;
    return digits > 0;
}

static bool take_offset(const char **at, int64_t *seconds)
{
    int sign = **at == '-' ? -1 : 1, hours, minutes;

    if (**at == 'Z') {
        ++*at;
        return true;
    }
    if (**at != '+' && **at != '-')
        return false;
    ++*at;
    if (!take_number(at, 2, 0, 23, &hours) || !take_char(at, ':')
        || !take_number(at, 2, 0, 59, &minutes))
        return false;
    *seconds -= (int64_t)sign * (hours * 3600 + minutes * 60);
    return true;
}

bool siwe_parse_time(const char *text, size_t bytes, int64_t *seconds)
{
    char        copied[64];
    const char *at = copied;
    struct tm   tm;

    if (!copy((struct slice) { text, bytes }, copied, sizeof(copied)) || strlen(copied) != bytes
        || !take_date(&at, &tm) || !take_char(&at, 'T') || !take_number(&at, 2, 0, 23, &tm.tm_hour)
        || !take_char(&at, ':') || !take_number(&at, 2, 0, 59, &tm.tm_min) || !take_char(&at, ':')
        || !take_number(&at, 2, 0, 59, &tm.tm_sec) || !take_fraction(&at))
        return false;
    *seconds = (int64_t)timegm(&tm);
    return take_offset(&at, seconds) && *at == '\0' && *seconds > 0;
}

/* ---- the message, line by line ---- */

struct lines {
    const char *at, *end;
    bool        is_over;
};

static struct slice peek(const struct lines *l)
{
    const char *lf = l->is_over ? NULL : memchr(l->at, '\n', (size_t)(l->end - l->at));

    return (struct slice) { l->at, l->is_over ? 0 : (size_t)((lf ? lf : l->end) - l->at) };
}

static struct slice next_line(struct lines *l)
{
    struct slice line = peek(l);

    l->at += line.bytes;
    if (l->at == l->end)
        l->is_over = true;
    else
        l->at++;
    return line;
}

/* The next line's value if it begins with the label; the line is taken then. */
static bool take_labelled(struct lines *l, const char *label, struct slice *value)
{
    struct slice line  = peek(l);
    size_t       bytes = strlen(label);

    if (l->is_over || line.bytes < bytes || memcmp(line.text, label, bytes) != 0)
        return false;
    next_line(l);
    *value = (struct slice) { line.text + bytes, line.bytes - bytes };
    return true;
}

static bool take_empty(struct lines *l)
{
    return !l->is_over && next_line(l).bytes == 0;
}

static bool read_head(struct lines *l, struct siwe_message *m, struct err *err)
{
    static const char tail[] = " wants you to sign in with your Ethereum account:";
    struct slice      line   = next_line(l);
    size_t            bytes  = sizeof(tail) - 1;
    const char       *colon;

    if (line.bytes <= bytes || memcmp(line.text + line.bytes - bytes, tail, bytes) != 0)
        return problem_field(err, "/message", "does not begin as a sign-in with Ethereum");
    line.bytes -= bytes;
    colon = memmem(line.text, line.bytes, "://", 3);
    if (colon) {
        struct slice scheme = { line.text, (size_t)(colon - line.text) };
        if (!are_all(scheme, "+-.") || !copy(scheme, m->scheme, sizeof(m->scheme)) || !scheme.bytes)
            return problem_field(err, "/message", "domain: the scheme before it is malformed");
        line = (struct slice) { colon + 3, line.bytes - scheme.bytes - 3 };
    }
    if (!line.bytes || !are_all(line, "-._~:[]") || !copy(line, m->domain, sizeof(m->domain)))
        return problem_field(err, "/message", "domain: must be a host and perhaps a port");
    return true;
}

static bool read_address(struct lines *l, struct siwe_message *m, struct err *err)
{
    struct slice line = next_line(l);

    if (line.bytes != SIWE_ADDRESS_CHARS || memcmp(line.text, "0x", 2) != 0
        || !copy(line, m->address, sizeof(m->address))
        || strspn(m->address + 2, "0123456789abcdefABCDEF") != 40)
        return problem_field(err, "/message", "address: must be 0x and 40 hexadecimal digits");
    /* Without a capital there is no checksum, which EIP-55 allows; many wallets and programs send
     * that. */
    return !m->address[2 + strcspn(m->address + 2, "ABCDEF")] || siwe_is_checksummed(m->address)
           || problem_field(err, "/message",
                            "address: its capital letters are not those of EIP-55");
}

/* Empty, statement, empty; without one two empty lines; an empty one makes three. */
static bool read_statement(struct lines *l, struct err *err)
{
    struct slice line;

    if (!take_empty(l))
        return problem_field(err, "/message", "address: must be followed by an empty line");
    line = next_line(l);
    if (!are_all(line, "-._~:/?#[]@!$&'()*+,;= "))
        return problem_field(err, "/message", "statement: has characters that it must not have");
    if (line.bytes == 0 && peek(l).bytes > 0)
        return true;
    return take_empty(l)
           || problem_field(err, "/message", "statement: must be followed by an empty line");
}

static bool read_numbers(struct lines *l, struct siwe_message *m, struct err *err)
{
    struct slice value;
    char         digits[20];
    size_t       n;

    if (!take_labelled(l, "Version: ", &value) || value.bytes != 1 || value.text[0] != '1')
        return problem_field(err, "/message", "version: must be 1, on the line after the URI");
    if (!take_labelled(l, "Chain ID: ", &value) || !copy(value, digits, sizeof(digits)))
        return problem_field(err, "/message",
                             "chain-id: must be a number, on the line after the version");
    n = strspn(digits, "0123456789");
    if (n == 0 || n != value.bytes)
        return problem_field(err, "/message",
                             "chain-id: must be a number, on the line after the version");
    m->chain_id = strtoull(digits, NULL, 10);
    return true;
}

static bool read_required(struct lines *l, struct siwe_message *m, struct err *err)
{
    struct slice value;

    if (!take_labelled(l, "URI: ", &value) || !is_uri(value)
        || !copy(value, m->uri, sizeof(m->uri)))
        return problem_field(err, "/message",
                             "uri: must be a URI, after the address or the statement");
    if (!read_numbers(l, m, err))
        return false;
    if (!take_labelled(l, "Nonce: ", &value) || value.bytes < 8 || !are_all(value, "")
        || !copy(value, m->nonce, sizeof(m->nonce)))
        return problem_field(err, "/message", "nonce: must be 8 to 64 letters and digits");
    if (!take_labelled(l, "Issued At: ", &value)
        || !siwe_parse_time(value.text, value.bytes, &m->issued_at))
        return problem_field(err, "/message", "issued-at: must be a time of RFC 3339");
    return true;
}

static bool read_optional(struct lines *l, struct siwe_message *m, struct err *err)
{
    struct slice value;

    if (take_labelled(l, "Expiration Time: ", &value)
        && !siwe_parse_time(value.text, value.bytes, &m->expires_at))
        return problem_field(err, "/message", "expiration-time: must be a time of RFC 3339");
    if (take_labelled(l, "Not Before: ", &value)
        && !siwe_parse_time(value.text, value.bytes, &m->not_before))
        return problem_field(err, "/message", "not-before: must be a time of RFC 3339");
    if (take_labelled(l, "Request ID: ", &value)
        && (!are_all(value, "-._~!$&'()*+,;=:@%") || !escapes_are_whole(value)))
        return problem_field(err, "/message", "request-id: has characters that it must not have");
    if (take_labelled(l, "Resources:", &value)) {
        if (value.bytes)
            return problem_field(err, "/message", "resources: must stand on lines of their own");
        while (take_labelled(l, "- ", &value))
            if (!is_uri(value))
                return problem_field(err, "/message", "resources: each must be a URI");
    }
    return l->is_over
           || problem_field(err, "/message", "has more at its end than a sign-in may have");
}

bool siwe_parse(const char *text, size_t bytes, struct siwe_message *message, struct err *err)
{
    struct lines l = { text, text + bytes, false };

    *message = (struct siwe_message) { 0 };
    if (bytes == 0 || bytes > SIWE_BYTES_MAX)
        return problem_field(err, "/message", "must have 1 to 4096 bytes");
    return read_head(&l, message, err) && read_address(&l, message, err) && read_statement(&l, err)
           && read_required(&l, message, err) && read_optional(&l, message, err);
}

/* ---- policy ---- */

static bool next_item(const char **list, struct slice *item)
{
    *list += strspn(*list, ", ");
    *item = (struct slice) { *list, strcspn(*list, ", ") };
    *list += item->bytes;
    return item->bytes > 0;
}

struct origin {
    struct slice scheme, authority;
};

/* scheme://host:port of an address, without what comes behind it; the scheme's own port is none. */
static struct origin split_origin(struct slice s)
{
    const char   *colon  = memmem(s.text, s.bytes, "://", 3);
    struct origin origin = { { "https", 5 }, s };
    const char   *port;

    if (colon) {
        origin.scheme    = (struct slice) { s.text, (size_t)(colon - s.text) };
        origin.authority = (struct slice) { colon + 3, s.bytes - origin.scheme.bytes - 3 };
    }
    for (size_t i = 0; i < origin.authority.bytes; i++)
        if (is_one_of(origin.authority.text[i], "/?#"))
            origin.authority.bytes = i;
    port = origin.scheme.bytes == 5 ? ":443" : ":80";
    if (origin.authority.bytes > strlen(port)
        && memcmp(origin.authority.text + origin.authority.bytes - strlen(port), port, strlen(port))
               == 0)
        origin.authority.bytes -= strlen(port);
    return origin;
}

static bool is_same(struct slice a, struct slice b)
{
    return a.bytes == b.bytes && strncasecmp(a.text, b.text, a.bytes) == 0;
}

static bool domain_is(const struct siwe_message *m, const struct origin *ours)
{
    char          whole[sizeof(m->domain) + 16];
    int           bytes = snprintf(whole, sizeof(whole), "%.*s://%s", (int)ours->scheme.bytes,
                                   ours->scheme.text, m->domain);
    struct origin theirs;

    if (bytes < 0 || (size_t)bytes >= sizeof(whole))
        return false;
    theirs = split_origin((struct slice) { whole, (size_t)bytes });
    return is_same(theirs.authority, ours->authority)
           && (!m->scheme[0]
               || is_same((struct slice) { m->scheme, strlen(m->scheme) }, ours->scheme));
}

static bool place_is_ours(const struct siwe_message *m, const char *origins, struct err *err)
{
    struct slice  uri             = { m->uri, strlen(m->uri) }, item;
    struct origin theirs          = split_origin(uri);
    bool          is_domain_known = false;

    while (next_item(&origins, &item)) {
        struct origin ours = split_origin(item);
        if (!domain_is(m, &ours))
            continue;
        is_domain_known = true;
        if (strstr(m->uri, "://") && is_same(theirs.scheme, ours.scheme)
            && is_same(theirs.authority, ours.authority))
            return true;
    }
    return problem_field(err, "/message",
                         is_domain_known ? "uri: is not of this site" : "domain: is not this site");
}

static bool chain_is_allowed(uint64_t chain, const char *chains)
{
    struct slice item;

    while (next_item(&chains, &item))
        if (strtoull(item.text, NULL, 10) == chain)
            return true;
    return false;
}

bool siwe_is_for_us(const struct siwe_message *message, const struct siwe_policy *policy,
                    int64_t now, struct err *err)
{
    const struct siwe_message *m = message;

    if (!place_is_ours(m, policy->origins, err))
        return false;
    if (!chain_is_allowed(m->chain_id, policy->chains))
        return problem_field(err, "/message", "chain-id: is not one that is taken here");
    if (m->issued_at > now + SIWE_SKEW_SECONDS)
        return problem_field(err, "/message", "issued-at: lies in the future");
    if (m->issued_at < now - policy->max_age_seconds)
        return problem_field(err, "/message", "issued-at: is too long ago");
    if (m->expires_at && m->expires_at <= now)
        return problem_field(err, "/message", "expiration-time: has passed");
    if (m->not_before && m->not_before > now + SIWE_SKEW_SECONDS)
        return problem_field(err, "/message", "not-before: has not come yet");
    return true;
}

/* ---- signature ---- */

bool siwe_is_checksummed(const char *address)
{
    char    lower[41];
    uint8_t digest[KECCAK256_BYTES];

    for (size_t i = 0; i < 40; i++)
        lower[i] = (char)tolower((unsigned char)address[2 + i]);
    keccak256(lower, 40, digest);
    for (size_t i = 0; i < 40; i++) {
        int nibble = i % 2 ? digest[i / 2] & 15 : digest[i / 2] >> 4;
        if (isalpha((unsigned char)lower[i])
            && !!isupper((unsigned char)address[2 + i]) != (nibble >= 8))
            return false;
    }
    return true;
}

/* EIP-191, version 0x45: length in bytes, decimal. */
static void digest_of(const char *text, size_t bytes, uint8_t digest[KECCAK256_BYTES])
{
    char whole[64 + SIWE_BYTES_MAX];
    int  head = snprintf(whole, 64,
                         "\x19"
                          "Ethereum Signed Message:\n%zu",
                         bytes);

    memcpy(whole + head, text, bytes);
    keccak256(whole, (size_t)head + bytes, digest);
}

/* Half of the curve's order: of s and n - s only the lower one is taken, so that a signature has
 * one form; libsecp256k1 recovers from both. */
static const uint8_t half_order[32] = { 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d,
                                        0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0 };

static bool read_signature(const char *text, uint8_t signature[65], struct err *err)
{
    size_t chars = strlen(text);

    if (strncmp(text, "0x", 2) != 0 || strspn(text + 2, "0123456789abcdefABCDEF") != chars - 2)
        return problem_field(err, "/signature", "must be 0x and hexadecimal digits");
    if (chars == 130)
        return problem_field(err, "/signature", "is of the compact form, which is not taken");
    if (chars > 132)
        return problem_field(err, "/signature",
                             "is longer than a key's: contract wallets cannot sign in");
    if (chars < 132 || !hex_read(text + 2, signature, 65))
        return problem_field(err, "/signature", "must have 65 bytes");
    if (signature[64] < 27)
        signature[64] = (uint8_t)(signature[64] + 27);
    if (signature[64] != 27 && signature[64] != 28)
        return problem_field(err, "/signature", "ends with a v that is none of 27, 28, 0 and 1");
    if (memcmp(signature + 32, half_order, 32) > 0)
        return problem_field(err, "/signature", "is not in its lower form (s is too high)");
    return true;
}

bool siwe_recover(const char *text, size_t bytes, const char *signature,
                  char address[SIWE_ADDRESS_CHARS + 1], struct err *err)
{
    const secp256k1_context              *ctx = secp256k1_context_static;
    secp256k1_ecdsa_recoverable_signature parsed;
    secp256k1_pubkey                      key;
    uint8_t                               raw[65], digest[KECCAK256_BYTES], point[65];
    size_t                                point_bytes = sizeof(point);

    if (bytes > SIWE_BYTES_MAX || !read_signature(signature, raw, err))
        return bytes <= SIWE_BYTES_MAX
                   ? false
                   : problem_field(err, "/message", "must have 1 to 4096 bytes");
    digest_of(text, bytes, digest);
    if (!secp256k1_ecdsa_recoverable_signature_parse_compact(ctx, &parsed, raw, raw[64] - 27)
        || !secp256k1_ecdsa_recover(ctx, &key, &parsed, digest))
        return problem_field(err, "/signature", "is no signature of this message");
    secp256k1_ec_pubkey_serialize(ctx, point, &point_bytes, &key, SECP256K1_EC_UNCOMPRESSED);
    keccak256(point + 1, 64, digest);
    address[0] = '0';
    address[1] = 'x';
    hex_write(address + 2, digest + 12, 20);
    return true;
}

bool siwe_verify(const char *text, size_t bytes, const char *signature,
                 const struct siwe_policy *policy, int64_t now, struct siwe_message *message,
                 char address[SIWE_ADDRESS_CHARS + 1], struct err *err)
{
    if (!siwe_parse(text, bytes, message, err) || !siwe_is_for_us(message, policy, now, err)
        || !siwe_recover(text, bytes, signature, address, err))
        return false;
    return strcasecmp(address, message->address) == 0
           || problem_field(err, "/signature", "is not of the message's address");
}
