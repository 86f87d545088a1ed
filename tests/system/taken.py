#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Plays a process of the agent that an attacker has taken over.

	taken.py MG_MSG.DEF front|link|sig|keygen|digest DIR [ARG...]

Stands where the real program stands and is started by the monitor; gives up
root as that does, then says what it likes. Messages are made from the list
of them, well formed, so that it is their meaning that is refused. What it
could do is written to DIR/gained, one line each: there should be none.
DIR/next counts the messages that were tried on the process's own channel.
"""
import array
import os
import pwd
import re
import signal
import socket
import struct
import sys

UUID = "00000000-0000-4000-8000-000000000000"
TEXT = {"NAME": "root", "NAME0": "root", "LINE": "x", "TEXT": "x",
        "CODE0": "", "UUID": UUID, "TERM": "", "PATH": "/", "ARG": "x"}
USERS = {"front": "_mg-front", "link": "_mg-link", "sig": "_mg-verify",
         "keygen": "_mg-keygen", "digest": "_mg-verify"}


def string(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">I", len(b) + 1) + b + b"\0"


def blob(b):
    return struct.pack(">I", len(b)) + b


def frame(op, payload, ident=1):
    return struct.pack(">IHHI", len(payload) + 8, op, 1, ident) + payload


def messages(path):
    """op -> (name, from, to, payload), read from the list itself."""
    text = re.sub(r"/\*.*?\*/", "", open(path).read(), flags=re.S)
    text = text.replace("\\\n", " ")
    fields = {m[1]: re.findall(r"F\(S, (\w+), (\w+), (\w+), (\w+)\)", m[0])
              for m in re.finditer(r"#define MG_FIELDS_(\w+)\(F, S\)[^\n]*",
                                   text)}
    size = {"U8": 1, "U16": 2, "U32": 4, "U64": 8, "I64": 8, "BOOL": 1}
    out = {}
    for m in re.finditer(r"M\((\w+), (\w+), (\d+), ([\w| ]+), ([\w| ]+),",
                         text):
        p = b""
        for kind, _, _, cls in fields[m[2]]:
            if kind in size:
                p += (1).to_bytes(size[kind], "big")
            elif kind == "STR":
                p += string(TEXT[cls])
            elif kind == "BYTES":
                p += blob(b"x")
            else:
                p += struct.pack(">I", 0)
        out[int(m[3])] = (m[1], m[4], m[5], p)
    return out


def send(s, data, fds=()):
    try:
        s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                            array.array("i", fds))] if fds else [])
        return True
    except OSError:
        return False


def receive(s):
    """One frame with its descriptors; None at the end."""
    try:
        head, fds, _, _ = socket.recv_fds(s, 12, 16)
        while head and len(head) < 12:
            piece = s.recv(12 - len(head))
            if not piece:
                return None
            head += piece
        if not head:
            return None
        n, op, _, _ = struct.unpack(">IHHI", head)
        d = b""
        while len(d) < n - 8:
            piece, more, _, _ = socket.recv_fds(s, n - 8 - len(d), 16)
            if not piece:
                return None
            d += piece
            fds += more
        return op, d, fds
    except OSError:
        return None


def become(name):
    u = pwd.getpwnam(name)
    os.setgroups([])
    os.setresgid(u.pw_gid, u.pw_gid, u.pw_gid)
    os.setresuid(u.pw_uid, u.pw_uid, u.pw_uid)


def gained(what):
    with open(os.path.join(sys.argv[3], "gained"), "a") as f:
        f.write(f"{sys.argv[2]}: {what}\n")


def look_around():
    """What the user alone can reach, filter or not."""
    for path in ("/var/lib/modelgate/host_key", "/var/lib/modelgate/totp",
                 "/var/lib/modelgate/ledger", "/etc/shadow",
                 "/etc/modelgate/hub_host_key", "/var/lib/modelgate-hub",
                 f"/proc/{os.getppid()}/mem", f"/proc/{os.getppid()}/environ",
                 f"/proc/{os.getppid()}/fd", "/var/log/audit"):
        try:
            os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
            gained("can read " + path)
        except OSError:
            pass
    for path in ("/run/modelgate/x", "/etc/modelgate/policy.d/x.ini",
                 "/var/lib/modelgate/x", "/etc/pam.d/x"):
        try:
            open(path, "w").close()
            gained("can write " + path)
        except OSError:
            pass
    try:
        os.kill(os.getppid(), signal.SIGKILL)
        gained("killed the monitor")
    except OSError:
        pass


def count():
    path = os.path.join(sys.argv[3], "next")
    n = int(open(path).read()) if os.path.exists(path) else 0
    with open(path, "w") as f:
        f.write(str(n + 1))
    return n


def front(channel, all_messages):
    ops = sorted(all_messages)
    while True:
        got = receive(channel)
        if got is None:
            return
        op, _, fds = got
        if op != 40 or len(fds) != 2:
            continue
        n = count()
        worker = socket.socket(fileno=fds[1])
        worker.settimeout(1)
        # what no client has: its own channel to the monitor, for others
        k = ops[n % len(ops)]
        send(worker, frame(k, all_messages[k][3]))
        answer = receive(worker)
        while answer is not None and answer[0] in (21, 26, 28):
            answer = receive(worker)
        if answer is not None and answer[0] in (24, 25):
            gained(f"{all_messages[k][0]} was answered by {answer[0]}")
        worker.close()
        os.close(fds[0])
        if n % 2:
            send(channel, frame(k, all_messages[k][3]))


def link(channel, all_messages):
    replay = os.path.join(sys.argv[3], "replay")
    target = open(os.path.join(sys.argv[3], "uuid")).read().strip()
    sigs = [b"", b"x" * 16000, b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n"
            b"-----END SSH SIGNATURE-----\n"]
    if os.path.exists(replay):
        sigs.append(open(replay, "rb").read())
    receive(channel)  # the key of the host, which a link holds
    send(channel, frame(101, b"\1" + string("")))
    for uuid in (target, UUID):
        for who in ("bob", "carol", "ci-deploy", "mallory", "root", "nobody"):
            for sig in sigs:
                send(channel, frame(113, string(uuid) + string(who) +
                                    string("approve") + string("fine") +
                                    blob(sig)))
        send(channel, frame(113, string(uuid) + string("bob") +
                            string("deny") + string("") + blob(sigs[0])))
        send(channel, frame(113, string(uuid) + string("bob") +
                            string("granted") + string("") + blob(sigs[0])))
        send(channel, frame(111, string(uuid) + b"\1" + string("")))
        send(channel, frame(111, string(uuid) + b"\0" + string("gone")))
    # stay for the verdicts, then say one thing that no link may say
    channel.settimeout(6)
    while True:
        got = receive(channel)
        if got is None:
            break
        if got[0] == 114 and got[1][-8:].find(b"\1") != -1 and b"1 of" in got[1]:
            gained("a decision counted")
    ops = sorted(all_messages)
    k = ops[count() % len(ops)]
    send(channel, frame(k, all_messages[k][3]))
    channel.settimeout(None)
    while receive(channel) is not None:
        pass


def verify(channel, op):
    receive(channel)
    if op == 61:
        send(channel, frame(61, b"\1" + string("ssh-ed25519") +
                            string("SHA256:forged") + b"\1" + string("")))
    else:
        send(channel, frame(63, b"\1" + string("sha256:" + "0" * 64) +
                            struct.pack(">QQ", 1, 1) + string("")))
    receive(channel)


def main():
    all_messages = messages(sys.argv[1])
    mode = sys.argv[2]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    channel = socket.socket(fileno=3)
    become(USERS[mode])
    look_around()
    if mode == "front":
        front(channel, all_messages)
    elif mode == "link":
        link(channel, all_messages)
    else:
        verify(channel, 63 if mode == "digest" else 61)


main()
