"""Sends what a receiver must outlive.

misbehave.py KIND WAY URI: for each line of stdin, a list of parts in JSON, sends a message: a part is a text, or a number of
bytes.
"""

import json
import sys

import zmq

kind, way, uri = sys.argv[1:]
socket = zmq.Context().socket(getattr(zmq, kind))
socket.setsockopt(zmq.SNDHWM, 0)
getattr(socket, way)(uri)
print(socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
if kind == "XPUB":
    socket.recv()
for line in sys.stdin:
    parts = [part.encode() if isinstance(part, str) else bytes(part) for part in json.loads(line)]
    socket.send_multipart(parts)
    print("sent", flush=True)
