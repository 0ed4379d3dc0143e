/*
 * ops: the ops of the tool protocol. Each reads a request and gives the answer for stdout, or NULL
 * with *fault.
 */
#ifndef MEDIA_OPS_H
#define MEDIA_OPS_H

#include <jansson.h>

#include "media/tool/fault.h"
#include "media/tool/request.h"

json_t *op_check(struct request *request, struct fault *fault);
json_t *op_prepare(struct request *request, struct fault *fault);
json_t *op_finish(struct request *request, struct fault *fault);
json_t *op_disclose(struct request *request, struct fault *fault);

#endif
