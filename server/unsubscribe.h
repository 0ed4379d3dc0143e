/*
 * unsubscribe: the link at the foot of a mail. GET shows a page with one button and changes nothing,
 * since what reads mail before people do follows links; POST turns the account's mail off, also from a
 * mail program that never shows the page (RFC 8058: any body, no cookie, no login).
 */
#ifndef KILN_UNSUBSCRIBE_H
#define KILN_UNSUBSCRIBE_H

#include "routes.h"

extern const struct handler unsubscribe_ask, unsubscribe_do;

#endif
