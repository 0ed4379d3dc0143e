/*
 * lease: the registration of this process, and the older ones under which tasks still run.
 */
#ifndef RUNNER_LEASE_H
#define RUNNER_LEASE_H

#include "pipeline_runner/dispatch/slots.h"

void   lease_start(struct dispatch *d);
void   lease_renew(struct dispatch *d);                      /* the answer to a claim was lost */
void   lease_check_old(struct dispatch *d);                  /* a slot came free */
void   lease_unknown(struct dispatch *d, int64_t runner_id); /* KN011 */
size_t lease_ids(const struct dispatch *d, int64_t ids[OLD_LEASES + 1]);

#endif
