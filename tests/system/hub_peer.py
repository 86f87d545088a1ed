#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Plays a host: speaks the hub's frames through a stock ssh client.

	hub_peer.py [--signers FILE] [--silent] ssh ARG... host
	hub_peer.py [--signers FILE] --link PATH ADDRESS PORT HOST PIN-FILE KEY

With --link it plays the monitor instead: it starts mg-link with its channel
on descriptor 3 and speaks to that.

The framing is written here a second time, from PROTOCOL.md, so that a
mistake in the C code's codec does not hide itself. Commands come as lines
on standard input, events go as lines to standard output:

	put UUID HOST REQUESTER LEFT_MS [BODY-HOST [REVIEW]]	-> put_ans UUID ok|no TEXT
	state UUID WORD open|ended [ROLE PERSON]...
	verdict UUID APPROVER WORD yes|no TEXT
	ping						-> pong
	raw HEX						bytes as they are
	quit

A decision comes as "decision UUID APPROVER WORD NOTE"; its text and
signature are left in files UUID.APPROVER.txt and .sig. With --signers each
one is checked with ssh-keygen -Y verify and answered with a verdict, as a
host does; without, nothing is answered unless a verdict is commanded.
--silent answers nothing and pings nobody.
"""
import os
import socket
import struct
import subprocess
import sys
import threading
import time

LINK_CONF, LINK_STATUS = 100, 101
PUT, PUT_ANS, STATE, DECISION, VERDICT, PING, PONG = range(110, 117)
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def string(s):
    b = s.encode()
    return struct.pack(">I", len(b) + 1) + b + b"\0"


def strings(v):
    return struct.pack(">I", len(v)) + b"".join(string(s) for s in v)


def frame(op, payload, ident=1):
    return struct.pack(">IHHI", len(payload) + 8, op, 1, ident) + payload


class Reader:
    def __init__(self, data):
        self.d = data

    def take(self, n):
        if n > len(self.d):
            raise ValueError("short")
        out, self.d = self.d[:n], self.d[n:]
        return out

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def bytes(self):
        return self.take(self.u32())

    def str(self):
        b = self.bytes()
        if not b or b[-1] != 0 or 0 in b[:-1]:
            raise ValueError("string")
        return b[:-1].decode()

    def bool(self):
        v = self.take(1)[0]
        if v > 1:
            raise ValueError("bool")
        return v == 1

    def end(self):
        if self.d:
            raise ValueError("trailing bytes")


def code(uuid):
    n = int(uuid.replace("-", ""), 16) >> 78
    return "".join(CROCKFORD[(n >> (45 - 5 * i)) & 31] for i in range(10))


def body(uuid, host, who, when):
    t = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(when))
    return "".join(
        line + "\n"
        for line in (
            "request: %s %s" % (uuid, code(uuid)),
            "host: %s SHA256:x" % host,
            "requester: %s uid=1000 session=7 origin=10.1.2.3" % who,
            "operation: deploy",
            "model: fraud-scorer",
            "version: 12",
            "artifact: sha256:" + "0" * 64,
            'argv: "/usr/libexec/modelgate/ops/symlink" "deploy" "12"',
            "run-as: mlserve",
            "lasts: 30m",
            "reason: better at nights",
            "ticket: -",
            "policy: sha256:" + "1" * 64,
            "requested-at: " + t,
            "nonce: " + "a" * 32,
        )
    )


def escape(s):
    return "-" if s == "" else s.replace("\\", "\\\\")


def start_ssh(args):
    p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return p, p.stdin, p.stdout


def start_link(path, address, port, host, pins, key):
    ours, theirs = socket.socketpair()

    def place():
        os.dup2(theirs.fileno(), 3)

    # pass_fds closes all but 0-3; what is given to the child is a copy.
    p = subprocess.Popen([path], preexec_fn=place, pass_fds=(3,), env={})
    theirs.close()
    with open(pins) as f:
        pinned = [" ".join(line.split()[:2]) for line in f]
    with open(key, "rb") as f:
        pem = f.read()
    ours.sendall(frame(LINK_CONF,
                       string(address) + struct.pack(">H", int(port)) +
                       string(host) + strings(pinned) +
                       struct.pack(">I", len(pem)) + pem))
    return p, ours.makefile("wb"), ours.makefile("rb")


class Peer:
    def __init__(self, args, signers, silent, link):
        self.signers, self.silent = signers, silent
        self.lock = threading.Lock()
        start = start_link if link else start_ssh
        self.ssh, self.out, self.input = start(*args) if link else start(args)

    def say(self, *words):
        with self.lock:
            print("%.3f" % time.time(), *words, flush=True)

    def send(self, data):
        with self.lock:
            self.out.write(data)
            self.out.flush()

    def read(self, n):
        b = b""
        while len(b) < n:
            more = self.input.read(n - len(b))
            if not more:
                return None
            b += more
        return b

    def receive(self):
        try:
            self.receive_all()
        except BrokenPipeError:
            pass
        self.say("closed", self.ssh.wait())
        os._exit(0)

    def receive_all(self):
        while True:
            head = self.read(12)
            if head is None:
                break
            length, op, version, ident = struct.unpack(">IHHI", head)
            payload = self.read(length - 8)
            if payload is None or version != 1:
                break
            self.handle(op, Reader(payload))

    def handle(self, op, r):
        if op == PUT_ANS:
            uuid, ok, text = r.str(), r.bool(), r.str()
            self.say("put_ans", uuid, "ok" if ok else "no", text)
        elif op == LINK_STATUS:
            up, text = r.bool(), r.str()
            self.say("link", "up" if up else "down", text)
        elif op == PONG:
            r.take(8)
            self.say("pong")
        elif op == PING and not self.silent:
            self.send(frame(PONG, r.take(8)))
        elif op == DECISION:
            self.decision(r)
            return
        else:
            self.say("unknown", op)
            return
        r.end()

    def decision(self, r):
        uuid, who, word, note = r.str(), r.str(), r.str(), r.str()
        sig = r.bytes()
        r.end()
        text = "modelgate approval v1\ndecision: %s\napprover: %s\nnote: %s\n" % (
            word, who, escape(note))
        text += self.body_of(uuid)
        name = "%s.%s" % (uuid, who)
        with open(name + ".txt", "w") as f:
            f.write(text)
        with open(name + ".sig", "wb") as f:
            f.write(sig)
        self.say("decision", uuid, who, word, note)
        if self.signers:
            ok = self.verify(name, who)
            self.verdict(uuid, who, word, ok,
                         "1 of 1" if ok else "signature does not verify")

    @staticmethod
    def body_of(uuid):
        """What this host put under that UUID, also before a restart."""
        try:
            with open(uuid + ".body") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def verify(self, name, who):
        with open(name + ".txt", "rb") as f:
            return subprocess.run(
                ["ssh-keygen", "-Y", "verify", "-f", self.signers, "-I", who,
                 "-n", "modelgate-approval", "-s", name + ".sig"],
                stdin=f, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ).returncode == 0

    def verdict(self, uuid, who, word, ok, text):
        self.send(frame(VERDICT, string(uuid) + string(who) + string(word) +
                        (b"\1" if ok else b"\0") + string(text)))

    def put(self, uuid, host, who, left, body_host=None, review=""):
        text = self.body_of(uuid)
        if not text:
            text = body(uuid, body_host or host, who, time.time())
            with open(uuid + ".body", "w") as f:
                f.write(text)
        self.send(frame(PUT,
                        string(uuid) + string(text) +
                        string(review) + string(who) +
                        strings(["risk-owner", "1", "bob,carol"]) +
                        struct.pack(">qQ", int(time.time() * 1000), int(left))))

    def state(self, uuid, word, ended, *agreed):
        self.send(frame(STATE, string(uuid) + string(word) + strings(agreed) +
                        (b"\1" if ended == "ended" else b"\0") +
                        struct.pack(">Q", 600000)))

    def command(self, words):
        if words[0] == "put":
            self.put(*words[1:])
        elif words[0] == "state":
            self.state(*words[1:])
        elif words[0] == "verdict":
            self.verdict(words[1], words[2], words[3], words[4] == "yes",
                         " ".join(words[5:]))
        elif words[0] == "ping":
            self.send(frame(PING, struct.pack(">Q", 7)))
        elif words[0] == "raw":
            self.send(bytes.fromhex(words[1]))
        elif words[0] == "quit":
            self.ssh.kill()


def main():
    args, signers, silent, link = sys.argv[1:], None, False, False
    while args and args[0].startswith("--"):
        if args[0] == "--signers":
            signers, args = args[1], args[2:]
        elif args[0] == "--silent":
            silent, args = True, args[1:]
        elif args[0] == "--link":
            link, args = True, args[1:]
    peer = Peer(args, signers, silent, link)
    threading.Thread(target=peer.receive, daemon=True).start()
    for line in sys.stdin:
        if line.strip():
            peer.command(line.split())
    peer.ssh.wait()


if __name__ == "__main__":
    main()
