/*
 * websocket: GET /ws (RFC 6455): the events of /events as text messages, and what a client may say.
 *
 * Until a client subscribes it hears `ready` and the answers to what it said. Every message of a
 * client is one JSON object with a `type`:
 *   subscribe {last_event_id?}            events from there on, or from `ready` on
 *   message.send {conversation_id, …}     the rest as in POST /conversations/{id}/messages
 *   message.read, message.delivered {conversation_id, number}
 *   typing {conversation_id}
 *   ping
 * An `id` (a string of at most 100 bytes) comes back with its answer:
 * {"type":"answer","id","status", "body"}, {"type":"pong","id"} or
 * {"type":"error","id","problem"}, where problem is what REST would say (RFC 9457).
 *
 * Bounds: 64 KiB and 256 fragments a message; 8 calls under way, then reading stops until one is
 *         answered; what stream.h says of every stream. Binary messages: 1003. Every 10 to 15 s we
 *         ping; a client that is silent for 45 s is cut.
 */
#ifndef KILN_WEBSOCKET_H
#define KILN_WEBSOCKET_H

#include "server/http/route.h"

extern const struct handler websocket_events;

#endif
