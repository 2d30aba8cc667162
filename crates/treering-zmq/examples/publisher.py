"""Logs over ZeroMQ, to whoever subscribes first: publisher.py URI. The sending half of Python's logging cookbook, mended."""

import logging
import sys
from logging.handlers import QueueHandler

import zmq


class ZeroMQHandler(QueueHandler):
    """The socket is the queue; the record is prepared already."""

    def enqueue(self, record):
        self.queue.send_json(record.__dict__)


socket = zmq.Context().socket(zmq.XPUB)
socket.bind(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5557")
socket.recv()  # a subscription: what is sent before it is lost, and nobody knows

logging.getLogger().setLevel(logging.DEBUG)
logging.getLogger().addHandler(ZeroMQHandler(socket))  # basicConfig would put its format into each message
logger = logging.getLogger("app.orders")
for order_id in range(3):
    logger.info("order %d filled", order_id, extra={"order_id": order_id, "venue": "XNAS"})
logger.critical("out of orders")
try:
    int("x")
except ValueError:
    logger.exception("not a number")
socket.close(linger=5000)
