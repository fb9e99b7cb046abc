#!/usr/bin/env python3
"""Receives what Runegate's hooks send (Standard Webhooks), with nothing but Python's own library.

    HOOK_SECRET_FILE=/etc/runegate/secrets/crm python3 receiver.py 127.0.0.1:8090

Prints each event once, as one line of JSON. To a hook of mode "decide" it says yes, but for the addresses in HOOK_DENY. Copy it,
and put your own in place of `decide` and `happened`.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 5 * 60  # seconds
MOST_BYTES = 20_000
MOST_KNOWN = 10_000

with open(os.environ["HOOK_SECRET_FILE"], encoding="ascii") as file:
    SECRETS = [base64.b64decode(line.strip().removeprefix("whsec_")) for line in file if line.strip()]
DENIED = [one for one in os.environ.get("HOOK_DENY", "").split(",") if one]
known = OrderedDict()


def verified(headers, body, now):
    """Whether this body is from Runegate, and has been sent just now."""
    call = headers.get("webhook-id", "")
    sent = headers.get("webhook-timestamp", "")
    if not (sent.isascii() and sent.isdigit()) or abs(now - int(sent)) > TOLERANCE:
        return False
    signed = f"{call}.{sent}.".encode() + body
    expected = [base64.b64encode(hmac.new(one, signed, hashlib.sha256).digest()) for one in SECRETS]
    good = False
    for signature in headers.get("webhook-signature", "").split(" "):
        version, _, mac = signature.partition(",")
        for one in expected:
            # All are compared, each in a time that says nothing of where they differ.
            good |= hmac.compare_digest(mac.encode(), one) and version == "v1"
    return good


def decide(event):
    """Asked by hooks of mode "decide"; may add "groups" and, in seconds, "max_age" to a yes."""
    if event["data"].get("email") in DENIED:
        return {"decision": "deny", "message": "Ask the front desk."}
    return {"decision": "allow"}


def happened(event):
    print(json.dumps(event), flush=True)


class Receiver(BaseHTTPRequestHandler):
    timeout = 30

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > MOST_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not verified(self.headers, body, time.time()):
            return self.answer(401)
        event = json.loads(body)
        # Delivery is at least once: what comes again has the same id.
        call = self.headers["webhook-id"]
        if call not in known:
            known[call] = True
            if len(known) > MOST_KNOWN:
                known.popitem(last=False)
            happened(event)
        return self.answer(200, decide(event))

    def answer(self, status, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8090").rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    print(f"listening on {host}:{server.server_address[1]}", file=sys.stderr, flush=True)
    server.serve_forever()
