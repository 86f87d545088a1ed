#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Takes one message on 127.0.0.1 and keeps what was said to it.

	hub_listener.py PORT FILE http|smtp

FILE.ready appears when it listens, FILE when the message is whole.
"""
import os
import socket
import sys


def http(f):
    said, length = [], 0
    while True:
        line = f.readline().rstrip(b"\r\n")
        said.append(line)
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if not line:
            break
    said.append(f.read(length))
    f.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    return said


def smtp(f):
    def say(line):
        f.write(line + b"\r\n")
        f.flush()

    said, data = [], False
    say(b"220 here")
    for line in f:
        line = line.rstrip(b"\r\n")
        if data and line == b".":
            data = False
            say(b"250 taken")
        elif data:
            said.append(line)
        elif line == b"DATA":
            data = True
            say(b"354 go on")
        elif line == b"QUIT":
            say(b"221 bye")
            break
        else:
            said.append(line)
            say(b"250 ok")
    return said


def main():
    port, path, how = sys.argv[1:]
    s = socket.create_server(("127.0.0.1", int(port)))
    open(path + ".ready", "w").close()
    conn, _ = s.accept()
    with conn, conn.makefile("rwb") as f:
        said = {"http": http, "smtp": smtp}[how](f)
    with open(path + ".new", "wb") as out:
        out.write(b"\n".join(said) + b"\n")
    os.rename(path + ".new", path)


main()
