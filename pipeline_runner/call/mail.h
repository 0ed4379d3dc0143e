/*
 * mail: one message at a time to the operator's mail server, over libcurl's SMTP.
 *
 * Not in the loop as HTTP is: libcurl waits for the answer to a message, and to QUIT, without
 * giving the thread back, whatever interface it was called by (smtp_done() of 7.88 says so itself).
 * A mail server that thinks for half a minute must not hold up claims and heartbeats; so each
 * message has a child process of its own, as files have that are stored. (A thread would be in
 * libcrypto's locks while such a child is forked, which has them for ever then.)
 *
 * The way there: smtps:// is TLS from the first byte. smtp:// has to turn to TLS (STARTTLS) before
 * anything is said, unless the host is loopback, where it is spoken in the clear, and only to an
 * address that is loopback. KILN_SMTP_TLS=on asks for it there too, =off for nowhere; then no
 * password is taken, but for loopback.
 *
 * Bounds: 30 s and 16 KiB of answers a message; as many children as messages were started.
 * Ownership: end mailer_open() with mailer_close(). mail_start() gives an object that lives until
 * on_end() has returned or mail_stop() was called; on_end() comes exactly once, from the loop,
 * never from within mail_start(), and not after mail_stop(). It may stop no other mail.
 */
#ifndef RUNNER_MAIL_H
#define RUNNER_MAIL_H

#include "lib/base.h"
#include "lib/cfg.h"
#include "lib/err.h"
#include "lib/loop.h"

struct mailer;
struct mail;

/* What the server was asked when it said its last word: what it refuses before it knows whom the
 * message is for is no word about the message. */
#define MAIL_STAGE_SESSION "session"
#define MAIL_STAGE_MESSAGE "message"

struct mail_end {
    int         status;  /* of SMTP's last answer: 250, or what refused; 0: none counts */
    const char *stage;   /* MAIL_STAGE_… */
    const char *reply;   /* that answer's last line */
    const char *message; /* NULL, or what went wrong here or on the way; names the host at most */
    uint64_t    elapsed_ms;
};

typedef void mail_end_fn(void *ctx, const struct mail_end *end);

/* NULL: the settings are wrong (F0000), or the system refuses. Without KILN_SMTP_URL it sends
 * none. */
struct mailer *mailer_open(struct loop *loop, const struct cfg *cfg, struct err *err);
void           mailer_close(struct mailer *mailer);

/* The address mail comes from; NULL: none is sent. */
const char *mailer_from(const struct mailer *mailer);

/* Copies what it is given. */
struct mail *mail_start(struct mailer *mailer, const char *from, const char *to,
                        const char *message, mail_end_fn *on_end, void *ctx);

/* Ends its child at once: whether the server has the message is not known then. */
void mail_stop(struct mail *mail);

#endif
