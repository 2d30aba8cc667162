"""Makes LogRecords of what comes over ZeroMQ and prints what a Formatter makes of them.

receive.py KIND WAY URI: a line of JSON for each message: what it says, and how it is formatted. First its address, then
the attributes of a record of Python's own, as its QueueHandler prepares it. Receives until it is killed.
"""

import json
import logging
import sys
from logging.handlers import QueueHandler

import zmq

kind, way, uri = sys.argv[1:]
socket = zmq.Context().socket(getattr(zmq, kind))
if kind == "SUB":
    socket.subscribe(b"")
socket.setsockopt(zmq.RCVHWM, 10)
getattr(socket, way)(uri)
print(socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)



class Show(QueueHandler):
    def enqueue(self, record):
        types = {key: type(value).__name__ for key, value in record.__dict__.items()}
        print(json.dumps(types), flush=True)


logging.getLogger("own").addHandler(Show(None))
logging.getLogger("own").warning("own %d", 7)

formatter = logging.Formatter("%(name)s %(levelname)s %(levelno)d %(filename)s %(process)d: %(message)s")
while True:
    attributes = json.loads(socket.recv_multipart()[-1])
    record = logging.makeLogRecord(attributes)
    print(json.dumps({"record": attributes, "text": formatter.format(record)}), flush=True)
