#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Passes connections on, at a rate that can be changed while they last.

	slow_relay.py PORT TO-PORT FILE

FILE holds how many bytes go through each second and way; 0: all of them.
Prints "ready" when it listens.
"""
import socket
import sys
import threading
import time

port, to, rate_file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def rate():
    with open(rate_file) as f:
        return int(f.read() or 0)


def pump(a, b):
    try:
        while True:
            data = a.recv(65536)
            while data:
                n = rate() or len(data)
                b.sendall(data[:n])
                data = data[n:]
                if data:
                    time.sleep(1)
            if not data and not a.recv(1, socket.MSG_PEEK):
                break
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


server = socket.create_server(("127.0.0.1", port))
print("ready", flush=True)
while True:
    a, _ = server.accept()
    b = socket.create_connection(("127.0.0.1", to))
    for x, y in ((a, b), (b, a)):
        threading.Thread(target=pump, args=(x, y), daemon=True).start()
