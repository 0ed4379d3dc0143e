/*
 * mail: settings → child process → libcurl → verdict on its stdout → loop.
 */
#include "pipeline_runner/call/mail.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/failpoint.h"
#include "pipeline_runner/exec/proc.h"
#include "pipeline_runner/exec/protocol.h"

#define CONNECT_MS  15000L /* with greeting, TLS and signing in; some servers let strangers wait */
#define TIMEOUT_MS  30000L
#define ANSWER_S    25L
#define ANSWERS_MAX ((size_t)16384)
#define LINE_BYTES  512 /* RFC 5321: of a reply */
#define HOST_MAX    255
#define SOCKETS_MAX ((size_t)16) /* one, but where several addresses are tried */

struct mailer {
    struct loop      *loop;
    const struct cfg *cfg;
    bool              is_on, is_smtps, is_loopback, must_encrypt;
    char              host[HOST_MAX + 1];
    char              url[HOST_MAX + 32]; /* as it was read: scheme, host, port */
    struct mail      *first;
};

/* What the child writes to its stdout. */
struct verdict {
    int  status;
    bool is_addressed; /* the server knew whom it was for */
    char reply[LINE_BYTES];
    char message[LINE_BYTES]; /* empty: nothing went wrong */
};

struct mail {
    struct mailer   *mailer;
    struct mail     *next, *before;
    struct proc     *proc; /* NULL: there is none, and unsent says why */
    struct loop_task unsent;
    uint64_t         started_ms;
    mail_end_fn     *on_end;
    void            *ctx;

    char  *from, *to, *text;
    size_t text_bytes, text_given;

    struct verdict verdict;

    /* in the child */
    CURL  *easy;
    int    sockets[SOCKETS_MAX]; /* copies: libcurl closes its own */
    size_t nsockets;
    size_t answer_bytes;
    int    answers; /* whole ones */
    bool   offers_tls, is_addressed, is_given;
};

/* ---- settings ---- */

static bool refuse(struct err *err, const char *sentence)
{
    err_set(err, "F0000", "%s", sentence);
    return false;
}

static bool has(CURLU *parts, CURLUPart part)
{
    char *text = NULL;
    bool  has  = curl_url_get(parts, part, &text, 0) == CURLUE_OK && text[0];

    curl_free(text);
    return has;
}

static bool is_loopback_name(const char *host)
{
    struct in_addr v4;

    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0
           || (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static bool is_loopback_address(const struct sockaddr *address)
{
    const struct sockaddr_in  *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

    return address->sa_family == AF_INET
               ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
               : address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* The URL's text is in no message: whoever put a password into it would find it in a log. */
static bool read_parts(struct mailer *mailer, CURLU *parts, struct err *err)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
    bool  ok = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
              && curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK
              && strlen(host) <= HOST_MAX;
    bool has_port = ok && curl_url_get(parts, CURLUPART_PORT, &port, 0) == CURLUE_OK;

    if (ok) {
        mailer->is_smtps = strcmp(scheme, "smtps") == 0;
        ok               = mailer->is_smtps || strcmp(scheme, "smtp") == 0;
        snprintf(mailer->host, sizeof mailer->host, "%s", host);
        snprintf(mailer->url, sizeof mailer->url, "%s://%s:%.5s", scheme, host,
                 has_port           ? port
                 : mailer->is_smtps ? "465"
                                    : "587");
    }
    ok = ok && curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK && strcmp(path, "/") == 0
         && !has(parts, CURLUPART_QUERY) && !has(parts, CURLUPART_FRAGMENT);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    return ok
           || refuse(err, "KILN_SMTP_URL must be smtp://host[:port] or smtps://host[:port], and no "
                          "more");
}

static bool read_url(struct mailer *mailer, struct err *err)
{
    CURLU *parts = curl_url();
    bool   ok;

    if (!parts)
        abort();
    if (curl_url_set(parts, CURLUPART_URL, mailer->cfg->smtp_url, 0) != CURLUE_OK)
        ok = refuse(err, "KILN_SMTP_URL cannot be read as a URL: smtp://host[:port] or "
                         "smtps://host[:port]");
    else if (has(parts, CURLUPART_USER) || has(parts, CURLUPART_PASSWORD)
             || has(parts, CURLUPART_OPTIONS))
        ok = refuse(err, "KILN_SMTP_URL carries a name or a password: they belong into "
                         "KILN_SMTP_USER and KILN_SMTP_PASSWORD");
    else
        ok = read_parts(mailer, parts, err);
    curl_url_cleanup(parts);
    return ok;
}

/* The same form that SQL asks of an account's address before it mails there: neither can end a
 * command or a header. */
static bool is_address(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const char       *at        = strchr(text, '@');
    size_t            name      = at ? (size_t)(at - text) : 0;
    char              allowed[128];

    if (!at || name == 0 || name > 64 || !at[1] || strlen(text) > 254)
        return false;
    snprintf(allowed, sizeof allowed, "%s.!#$%%&'*+/=?^_`{|}~-", letters);
    if (strspn(text, allowed) != name)
        return false;
    snprintf(allowed, sizeof allowed, "%s-.", letters);
    return at[1 + strspn(at + 1, allowed)] == '\0' && at[1] != '.' && !strstr(at, "..")
           && text[strlen(text) - 1] != '.';
}

static bool read_tls(struct mailer *mailer, struct err *err)
{
    const char *said   = mailer->cfg->smtp_tls;
    bool        is_off = strcmp(said, "off") == 0, is_auto = strcmp(said, "auto") == 0;

    if (!is_off && !is_auto && strcmp(said, "on") != 0)
        return refuse(err, "KILN_SMTP_TLS must be one of on, off, auto");
    mailer->is_loopback  = is_loopback_name(mailer->host);
    mailer->must_encrypt = mailer->is_smtps || !(is_off || (is_auto && mailer->is_loopback));
    if (!mailer->must_encrypt && !mailer->is_loopback && mailer->cfg->smtp_password[0])
        return refuse(err, "KILN_SMTP_PASSWORD is not sent in the clear: KILN_SMTP_TLS=off goes "
                           "without it, or with a server on loopback");
    return true;
}

static bool read_settings(struct mailer *mailer, struct err *err)
{
    const struct cfg *cfg = mailer->cfg;

    mailer->is_on = cfg->smtp_url[0] != '\0';
    if (!mailer->is_on)
        return !cfg->mail_from[0]
               || refuse(err, "KILN_MAIL_FROM is set and KILN_SMTP_URL is not: mail needs both");
    if (!cfg->mail_from[0])
        return refuse(err, "KILN_SMTP_URL is set and KILN_MAIL_FROM is not: mail needs both");
    if (!is_address(cfg->mail_from))
        return refuse(err, "KILN_MAIL_FROM must be an address such as kiln@example.org, alone");
    if ((cfg->smtp_user[0] == '\0') != (cfg->smtp_password[0] == '\0'))
        return refuse(err, "KILN_SMTP_USER and KILN_SMTP_PASSWORD are set together or not at all");
    if (cfg->smtp_ca[0] && access(cfg->smtp_ca, R_OK) != 0)
        return refuse(err, "KILN_SMTP_CA names no file that can be read");
    return read_url(mailer, err) && read_tls(mailer, err);
}

/* ---- in the child: what libcurl asks ---- */

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct mail         *mail   = ctx;
    const struct mailer *mailer = mail->mailer;
    int                  fd;

    (void)purpose;
    if (!mailer->must_encrypt && mailer->is_loopback && !is_loopback_address(&address->addr)) {
        snprintf(mail->verdict.message, sizeof mail->verdict.message,
                 "%.255s: its address is not loopback, and nothing goes there in the clear",
                 mailer->host);
        return CURL_SOCKET_BAD;
    }
    if (mail->nsockets >= SOCKETS_MAX)
        return CURL_SOCKET_BAD;
    fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    mail->sockets[mail->nsockets] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (mail->sockets[mail->nsockets] >= 0)
        mail->nsockets++;
    return fd;
}

static size_t give_text(char *buffer, size_t one, size_t room, void *ctx)
{
    struct mail *mail = ctx;
    size_t left = mail->text_bytes - mail->text_given, now = left < one * room ? left : one * room;

    memcpy(buffer, mail->text + mail->text_given, now);
    mail->text_given += now;
    mail->is_given = mail->text_given == mail->text_bytes;
    return now;
}

/* Only to know what was asked; what signs in passes by here too and is not looked at. */
static int on_command(CURL *easy, curl_infotype type, char *data, size_t bytes, void *ctx)
{
    struct mail *mail = ctx;

    (void)easy;
    if (type == CURLINFO_HEADER_OUT && bytes > 5 && strncasecmp(data, "RCPT ", 5) == 0)
        mail->is_addressed = true;
    return 0;
}

/* Nothing that comes is read any more, so that libcurl's QUIT goes out and nobody waits for the
 * answer to it: libcurl would, for two minutes. (Its own word on the socket, CURLINFO_ACTIVESOCKET,
 * is not to be had at this time.) */
static void hang_up(const struct mail *mail)
{
    for (size_t i = 0; i < mail->nsockets; i++)
        shutdown(mail->sockets[i], SHUT_RD);
}

static void keep(struct mail *mail, int status, const char *line)
{
    struct verdict *verdict = &mail->verdict;

    verdict->status       = status;
    verdict->is_addressed = mail->is_addressed;
    snprintf(verdict->reply, sizeof verdict->reply, "%s", line);
    verdict->reply[strcspn(verdict->reply, "\r\n")] = '\0';
    protocol_clean(verdict->reply);
    hang_up(mail);
}

/* An old server knows no EHLO: libcurl says HELO then, unless it must find STARTTLS. */
static bool is_old_way_left(const struct mail *mail, int status)
{
    return mail->answers == 2 && status >= 500
           && (!mail->mailer->must_encrypt || mail->mailer->is_smtps);
}

/* Lines of answers, one at a time; "250-…" goes on, "250 …" ends one. The first refusal is the
 * verdict, but for one of EHLO; the answer to a whole message is one too. */
static size_t take_answer(char *data, size_t one, size_t bytes, void *ctx)
{
    struct mail *mail = ctx;
    char         line[LINE_BYTES];
    int          status;

    (void)one;
    mail->answer_bytes += bytes;
    if (mail->answer_bytes > ANSWERS_MAX) {
        snprintf(mail->verdict.message, sizeof mail->verdict.message,
                 "%.255s: its answers are longer than allowed", mail->mailer->host);
        hang_up(mail);
        return 0;
    }
    snprintf(line, sizeof line, "%.*s", (int)(bytes < sizeof line ? bytes : sizeof line - 1), data);
    if (mail->verdict.status != 0 || strspn(line, "0123456789") != 3)
        return bytes;
    mail->offers_tls = mail->offers_tls || strncasecmp(line + 4, "STARTTLS", 8) == 0;
    if (line[3] == '-')
        return bytes;
    status = (int)strtol(line, NULL, 10);
    mail->answers++;
    if (mail->is_given || (status >= 400 && !is_old_way_left(mail, status))) {
        keep(mail, status, line);
    } else if (mail->answers == 2 && mail->mailer->must_encrypt && !mail->mailer->is_smtps
               && !mail->offers_tls) {
        snprintf(mail->verdict.message, sizeof mail->verdict.message,
                 "%.255s: it offers no TLS (STARTTLS), and mail does not go there in the clear",
                 mail->mailer->host);
        hang_up(mail);
    }
    return bytes;
}

/* ---- in the child: the exchange ---- */

static void set_way(struct mail *mail)
{
    const struct mailer *mailer = mail->mailer;
    const struct cfg    *cfg    = mailer->cfg;
    CURL                *easy   = mail->easy;

    curl_easy_setopt(easy, CURLOPT_URL, mailer->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     (long)(mailer->must_encrypt ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (cfg->smtp_ca[0])
        curl_easy_setopt(easy, CURLOPT_CAINFO, cfg->smtp_ca);
    if (cfg->smtp_user[0]) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, cfg->smtp_user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, cfg->smtp_password);
    }
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, mail);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, ANSWER_S);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
}

static struct curl_slist *set_message(struct mail *mail)
{
    CURL              *easy = mail->easy;
    struct curl_slist *to   = curl_slist_append(NULL, mail->to);

    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, mail->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)mail->text_bytes);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_text);
    curl_easy_setopt(easy, CURLOPT_READDATA, mail);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, mail);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_command);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, mail);
    return to;
}

static void judge(struct mail *mail, CURLcode code)
{
    if (mail->verdict.message[0])
        mail->verdict.status = 0;
    else if (mail->verdict.status == 0)
        snprintf(mail->verdict.message, sizeof mail->verdict.message, "%.255s: %.200s",
                 mail->mailer->host,
                 code == CURLE_OPERATION_TIMEDOUT ? "no answer in time"
                 : code == CURLE_OK               ? "no answer to the message"
                                                  : curl_easy_strerror(code));
}

static int send_mail(void *ctx, int stdout_fd)
{
    struct mail       *mail = ctx;
    struct curl_slist *to;

    mail->easy = curl_easy_init();
    if (!mail->easy)
        return EX_TEMPFAIL;
    set_way(mail);
    to = set_message(mail);
    judge(mail, curl_easy_perform(mail->easy));
    curl_easy_cleanup(mail->easy);
    curl_slist_free_all(to);
    return write(stdout_fd, &mail->verdict, sizeof mail->verdict) == (ssize_t)sizeof mail->verdict
               ? 0
               : EX_TEMPFAIL;
}

/* ---- in the loop ---- */

static void mail_free(struct mail *mail)
{
    loop_defer_cancel(mail->mailer->loop, &mail->unsent);
    if (mail->before)
        mail->before->next = mail->next;
    else
        mail->mailer->first = mail->next;
    if (mail->next)
        mail->next->before = mail->before;
    free(mail->from);
    free(mail->to);
    free(mail->text);
    free(mail);
}

void mail_stop(struct mail *mail)
{
    if (mail->proc)
        proc_abandon(mail->proc);
    mail_free(mail);
}

static void finish(struct mail *mail)
{
    const struct verdict *verdict = &mail->verdict;
    struct mail_end       end     = { .status = verdict->status,
                                      .stage =
                                verdict->is_addressed ? MAIL_STAGE_MESSAGE : MAIL_STAGE_SESSION,
                                      .reply      = verdict->reply,
                                      .message    = verdict->message[0] ? verdict->message : NULL,
                                      .elapsed_ms = base_now_ms() - mail->started_ms };

    FAILPOINT("runner.mail.answered");
    mail->on_end(mail->ctx, &end);
    mail_free(mail);
}

static void unsent(void *ctx)
{
    finish(ctx);
}

static void sent(void *ctx, const struct proc_end *end)
{
    struct mail *mail = ctx;

    mail->proc = NULL;
    if (end->cause == PROC_EXITED && end->out_bytes == sizeof mail->verdict)
        memcpy(&mail->verdict, end->out, sizeof mail->verdict);
    else
        snprintf(mail->verdict.message, sizeof mail->verdict.message, "%.255s: %.200s",
                 mail->mailer->host,
                 end->cause == PROC_TIMED_OUT ? "no answer in time"
                 : end->last_line[0]          ? end->last_line
                                              : "the process that sent it has ended");
    finish(mail);
}

static void start_child(struct mail *mail)
{
    struct err          err = { 0 };
    struct proc_options opt = {
        .spawn = { .run = send_mail, .ctx = mail, .has_network = true },
        .timeout_ms =
            TIMEOUT_MS + 5000, /* libcurl keeps its own; this is for a name that is not resolved */
        .stdout_most = sizeof(struct verdict),
        .on_end      = sent,
        .ctx         = mail,
    };

    mail->proc = proc_start(mail->mailer->loop, &opt, &err);
    if (mail->proc)
        return;
    snprintf(mail->verdict.message, sizeof mail->verdict.message, "%.400s", err.message);
    loop_defer(mail->mailer->loop, &mail->unsent);
}

static char *copy(const char *text)
{
    char *own = strdup(text);

    if (!own)
        abort();
    return own;
}

struct mail *mail_start(struct mailer *mailer, const char *from, const char *to,
                        const char *message, mail_end_fn *on_end, void *ctx)
{
    struct mail *mail = calloc(1, sizeof *mail);

    if (!mail)
        abort();
    mail->mailer     = mailer;
    mail->started_ms = base_now_ms();
    mail->on_end     = on_end;
    mail->ctx        = ctx;
    mail->unsent     = (struct loop_task) { .on_turn_end = unsent, .ctx = mail };
    mail->from       = copy(from);
    mail->to         = copy(to);
    mail->text       = copy(message);
    mail->text_bytes = strlen(message);
    mail->next       = mailer->first;
    if (mail->next)
        mail->next->before = mail;
    mailer->first = mail;
    FAILPOINT("runner.mail.sending");
    start_child(mail);
    return mail;
}

const char *mailer_from(const struct mailer *mailer)
{
    return mailer->is_on ? mailer->cfg->mail_from : NULL;
}

struct mailer *mailer_open(struct loop *loop, const struct cfg *cfg, struct err *err)
{
    struct mailer *mailer = calloc(1, sizeof *mailer);

    if (!mailer)
        abort();
    mailer->loop = loop;
    mailer->cfg  = cfg;
    if (!read_settings(mailer, err)) {
        mailer_close(mailer);
        return NULL;
    }
    return mailer;
}

void mailer_close(struct mailer *mailer)
{
    if (!mailer)
        return;
    for (struct mail *mail = mailer->first, *next; mail; mail = next) {
        next = mail->next;
        mail_stop(mail);
    }
    free(mailer);
}
