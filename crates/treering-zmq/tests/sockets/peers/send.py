"""Logs through Python's own QueueHandler, over ZeroMQ: the cookbook's example, mended.

send.py KIND WAY URI COUNT: sends COUNT records when a subscriber is there (XPUB) or at once (PUSH), and prints each one as
it was sent. A line on stdin ends it.
"""

import json
import logging
import sys
from logging.handlers import QueueHandler

import zmq


class ZeroMQHandler(QueueHandler):
    """The socket is the queue."""

    def enqueue(self, record):
        text = json.dumps(record.__dict__)
        print(text, flush=True)
        self.queue.send_string(text)


kind, way, uri, count = sys.argv[1:]
socket = zmq.Context().socket(getattr(zmq, kind))
getattr(socket, way)(uri)
print(socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
if kind == "XPUB":
    assert socket.recv()[:1] == b"\1", "a subscription"

logger = logging.getLogger("app.db")
logger.setLevel(1)
logger.addHandler(ZeroMQHandler(socket))
logging.addLevelName(5, "TRACE")
levels = [5, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL, 25]


def work(number):
    extra = {"number": number, "share": 0.5, "ok": True, "gap": None, "name_of": "Zoë ☃", "tags": ["a", "b"]}
    logger.log(levels[number % len(levels)], "näme %s of %d ☃ 𝄞", "größe", number, extra=extra)


for number in range(int(count)):
    work(number)
try:
    raise ValueError("no such täble")
except ValueError:
    logger.exception("query failed")
logger.info("nothing is a number", extra={"rate": float("nan"), "odd": "NaN \"Infinity\" \ud800"})
sys.stdin.readline()
socket.close(linger=5000)
