"""An SMTP server for tests: aiosmtpd, with a Maildir as its mailbox. Says "ready" when it listens, then a line of JSON for each message.

    mail_server.py PORT MAILDIR [--tls CERT KEY [--from-start]] [--sign-in USER PASSWORD]

By the first word of an address it refuses or waits: busy: 451 once; nobody: 550; spam: 554 when it has the message; slow: kept,
and answered only when a line comes on stdin. All others are taken. Runs until its stdin ends.
"""
import argparse
import asyncio
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult, LoginPassword


class Handler(Mailbox):
    def __init__(self, folder):
        super().__init__(folder)
        self.seen = set()
        self.go_on = asyncio.Event()

    async def handle_RCPT(self, server, session, envelope, address, options):
        word = address.split("@")[0]
        if word == "busy" and address not in self.seen:
            self.seen.add(address)
            return "451 4.7.1 come back later"
        if word == "nobody":
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        word = envelope.rcpt_tos[0].split("@")[0]
        if word == "spam":
            return "554 5.7.1 we want none of that"
        answer = await super().handle_DATA(server, session, envelope)
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": server.transport.get_extra_info("ssl_object") is not None,
                          "signed_in": bool(session.authenticated)}), flush=True)
        if word == "slow":
            await self.go_on.wait()
        return answer


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("port", type=int)
    ask.add_argument("maildir")
    ask.add_argument("--tls", nargs=2)
    ask.add_argument("--from-start", action="store_true")
    ask.add_argument("--sign-in", nargs=2)
    said = ask.parse_args()
    more = {}
    if said.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*said.tls)
        more = {"ssl_context": context} if said.from_start else {"tls_context": context, "require_starttls": True}
    if said.sign_in:
        wanted = LoginPassword(*(word.encode() for word in said.sign_in))
        more |= {"auth_required": True, "auth_require_tls": not said.from_start,
                 "authenticator": lambda server, session, envelope, mechanism, data: AuthResult(success=data == wanted, handled=False)}
    handler = Handler(said.maildir)
    controller = Controller(handler, hostname="127.0.0.1", port=said.port, **more)
    controller.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        controller.loop.call_soon_threadsafe(handler.go_on.set)
    controller.stop()


main()
