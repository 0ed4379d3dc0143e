/*
 * deliver: sends outgoing webhooks and mail. SQL makes deliveries, signs and writes them and says
 * which are due; any runner takes them, sends each, and brings the answers back. Mail is for
 * runners with KILN_SMTP_URL alone. No task, no slot: paid work does not notice.
 *
 * Bounds: 32 deliveries in flight; of each webhook 20 s and 16 KiB of reply, of mail see mail.h.
 * Ownership: end deliver_open() with deliver_close(), before the transfers are closed.
 */
#ifndef RUNNER_DELIVER_H
#define RUNNER_DELIVER_H

#include "pipeline_runner/context/runner.h"

struct deliver;

/* NULL: the settings of mail are wrong (F0000), or the system refuses. */
struct deliver *deliver_open(struct runner *runner, struct err *err);
void            deliver_close(struct deliver *deliver);

#endif
