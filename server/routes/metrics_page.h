/*
 * metrics_page: GET /metrics, in Prometheus text 0.0.4.
 */
#ifndef KILN_METRICS_PAGE_H
#define KILN_METRICS_PAGE_H

#include "server/http/route.h"

extern const struct handler metrics_page_get;

#endif
