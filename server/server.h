/*
 * server: what the parts of kiln-server share: one struct, which main.c owns, passed to each part.
 */
#ifndef KILN_SERVER_H
#define KILN_SERVER_H

#include "lib/base.h"
#include "lib/cfg.h"
#include "lib/err.h"
#include "lib/loop.h"

enum role { ROLE_API = 1, ROLE_REALTIME = 2, ROLE_BOTH = ROLE_API | ROLE_REALTIME };

struct server {
    const struct cfg    *cfg;
    struct loop         *loop;
    const struct routes *routes;
    unsigned             roles; /* enum role */
    struct mhd          *mhd;
    struct http         *http;
    struct pools        *pools;
    struct owners       *owners;
    struct auth         *auth;
    struct issuer       *issuer;  /* NULL without KILN_JWKS_URL */
    struct store        *store;   /* NULL without ROLE_API */
    struct streams      *streams; /* NULL without ROLE_REALTIME */
    struct bus          *bus;     /* NULL without ROLE_REALTIME */
    struct instance     *instance;
    struct poll         *polls; /* that wait */
    struct zip          *zips;  /* being made: zip.h */
    struct webhooks     *webhooks;
    struct limits       *limits;
    struct metrics      *metrics;
    size_t               json_bodies; /* with files, being read: see tryon.h */
    bool                 is_draining;
    bool                 has_served; /* the database has let it in once */
    struct err           refusal;    /* in force: refusal.h */
};

#endif
