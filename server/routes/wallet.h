/*
 * wallet: the routes that take a message signed in a wallet. What is signed is checked in siwe.c;
 * nonce, account and linking are SQL's.
 *
 *   wallet_sign_in   POST /auth/siwe       {message, signature} → {token, expires_at, account}
 *   wallet_link      POST /me/identities   {message, signature} or {token}
 */
#ifndef KILN_WALLET_H
#define KILN_WALLET_H

#include "lib/base.h"

extern const struct handler wallet_sign_in, wallet_link;

#endif
