/*
 * mail_link: the links in mail. GET shows a page with one button and changes nothing, since what
 * reads mail before people do follows links; POST acts. Of a mail's foot it turns mail to the
 * address off, also from a mail program that never shows the page (RFC 8058: any body, no cookie,
 * no login); of a confirmation it proves that the address is read.
 */
#ifndef KILN_MAIL_LINK_H
#define KILN_MAIL_LINK_H

#include "server/http/route.h"

extern const struct handler unsubscribe_ask, unsubscribe_do, confirm_email_ask, confirm_email_do;

#endif
