/*
 * share: GET /s/{token}, the one page that this server makes itself: a job's results for whoever
 * has the link, the originals of a staging beside them, and what was done. No script, nothing from
 * elsewhere; every text is escaped. The HTML: server/pages/share.html.
 */
#ifndef KILN_SHARE_H
#define KILN_SHARE_H

#include "server/http/route.h"

extern const struct handler share_open;

/* What open_share says, as a page; malloc'ed. NULL: it is not what the contract says. */
char *share_page(const char *json, size_t *bytes);

/* The page of a link that leads nowhere: the same whatever the reason. */
char *share_page_gone(size_t *bytes);

#endif
