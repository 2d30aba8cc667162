"""Prints what comes over ZeroMQ, by Python's logging: subscriber.py URI. The receiving half of its cookbook, mended."""

import json
import logging
import sys

import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"")
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5556")

logging.basicConfig(level=1, format="%(asctime)s %(process)d %(name)s %(levelname)s: %(message)s")
while True:
    record = logging.makeLogRecord(json.loads(socket.recv_multipart()[-1]))
    logging.getLogger(record.name).handle(record)
