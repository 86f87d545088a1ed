#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Plays a process of the agent that an attacker has taken over.

	taken.py MG_MSG.DEF front|link|witness|sig|keygen|digest DIR [ARG...]

Stands where the real program stands and is started by the monitor; gives up
root as that does, then says what it likes. Messages are made from the list
of them, well formed, so that it is their meaning that is refused. What it
could do is written to DIR/gained, one line each: there should be none.
Other files there count what was tried.
"""
import array
import fcntl
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
USERS = {"front": "_mg-front", "link": "_mg-link",
         "witness": "_mg-link", "sig": "_mg-verify",
         "keygen": "_mg-keygen", "digest": "_mg-verify"}


def string(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">I", len(b) + 1) + b + b"\0"


def blob(b):
    return struct.pack(">I", len(b)) + b


class Messages:
    """What may be said, read from the list itself."""

    SIZE = {"U8": 1, "U16": 2, "U32": 4, "U64": 8, "I64": 8, "BOOL": 1}

    def __init__(self, path):
        text = re.sub(r"/\*.*?\*/", "", open(path).read(), flags=re.S)
        text = text.replace("\\\n", " ")
        fields = {m[1]: re.findall(r"F\(S, (\w+), (\w+), (\w+), (\w+)\)",
                                   m[0])
                  for m in re.finditer(
                      r"#define MG_FIELDS_(\w+)\(F, S\)[^\n]*", text)}
        rows = re.findall(r"M\((\w+), (\w+), (\d+),\s+([\w| ]+),\s+([\w| ]+),",
                          text)
        self.op = {name: int(op) for name, _, op, _, _ in rows}
        self.name = {op: name for name, op in self.op.items()}
        self.ops = sorted(self.name)
        self.sender = {name: frm.split(" | ") for name, _, _, frm, _ in rows}
        self.fields = {name: fields[struct] for name, struct, _, _, _ in rows}

    def make(self, name, ident=1, **values):
        """A frame; what is not given is something that may stand there."""
        p = b""
        for kind, field, _, cls in self.fields[name]:
            v = values.pop(field, None)
            if kind in self.SIZE:
                p += int(1 if v is None else v).to_bytes(self.SIZE[kind],
                                                         "big")
            elif kind == "STR":
                p += string(TEXT[cls] if v is None else v)
            elif kind == "BYTES":
                p += blob(b"x" if v is None else v)
            else:
                v = v or []
                p += struct.pack(">I", len(v)) + b"".join(map(string, v))
        assert not values, (name, values)
        return struct.pack(">IHHI", len(p) + 8, self.op[name], 1, ident) + p


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


def count(what="next"):
    """How often before; several processes count."""
    with open(os.path.join(sys.argv[3], what), "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        n = int(f.read() or 0)
        f.truncate(0)
        f.write(str(n + 1))
    return n


def answers(s, say, name, patience):
    """What comes back, until the end or nothing more; none may be a gain."""
    s.settimeout(patience)
    while (got := receive(s)) is not None:
        if got[0] in (say.op["GRANTED"], say.op["STARTED"]):
            gained(f"{name} was answered by {say.name[got[0]]}")


def worker(channel, say):
    """One client's, taken over by it: says the next message of the list in
    its name. mallory's clients do so at the beginning, and while a question
    of theirs is being answered; alice's when they are asked for a code."""
    send(channel, say.make("FRONT_READY"))
    got = receive(channel)
    if got is None or got[0] != say.op["FRONT_CONN"]:
        return
    client = socket.socket(fileno=got[2][0])
    _, uid, _ = struct.unpack("3i", client.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    who = pwd.getpwuid(uid).pw_name
    run = say.make("RUN_REQ", operation="deploy", model="receipt-ocr",
                   version="1", reason="x", flags=4, for_ms=0)
    theirs = [op for op in say.ops if "CLIENT" in say.sender[say.name[op]]]
    if who == "alice":
        send(channel, run)
        channel.settimeout(5)
        while (got := receive(channel)) is not None:
            if got[0] == say.op["AUTH_PROMPT"]:
                break
        if got is None or (n := count("asked")) >= len(theirs):
            return
        op = theirs[n]
        send(channel, say.make(say.name[op], ident=2))
        answers(channel, say, say.name[op], 0.3)
        return
    n = count(who)
    if n < len(say.ops):
        op = say.ops[n]
    elif who == "mallory" and n < len(say.ops) + len(theirs):
        op = theirs[n - len(say.ops)]
        send(channel, run)
    else:
        return
    send(channel, say.make(say.name[op], ident=2))
    answers(channel, say, say.name[op], 0.3)


def front(channel, say):
    spoken = False
    while (got := receive(channel)) is not None:
        if got[0] != say.op["FRONT_WORKER"] or len(got[2]) != 1:
            continue
        theirs = socket.socket(fileno=got[2][0])
        if os.fork() == 0:
            channel.close()
            worker(theirs, say)
            os._exit(0)
        theirs.close()
        # in its own name, which is one word and then its end
        if not spoken and os.path.exists(os.path.join(sys.argv[3], "speak")):
            spoken = True
            n = count("own")
            if n < len(say.ops):
                send(channel, say.make(say.name[say.ops[n]]))


def is_accepted(verdict):
    """Its fourth field, after three texts."""
    for _ in range(3):
        verdict = verdict[4 + struct.unpack(">I", verdict[:4])[0]:]
    return verdict[0] != 0


def link(channel, say):
    replay = os.path.join(sys.argv[3], "replay")
    target = open(os.path.join(sys.argv[3], "uuid")).read().strip()
    sigs = [b"", b"x" * 16000, b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n"
            b"-----END SSH SIGNATURE-----\n"]
    if os.path.exists(replay):
        sigs.append(open(replay, "rb").read())
    receive(channel)  # the key of the host, which a link holds
    send(channel, say.make("LINK_STATUS", up=True, text=""))
    for uuid in (target, UUID):
        for who in ("bob", "carol", "ci-deploy", "mallory", "root", "nobody"):
            for sig in sigs:
                send(channel, say.make("HUB_DECISION", uuid=uuid,
                                       approver=who, decision="approve",
                                       note="fine", sig=sig))
        for word in ("deny", "granted"):
            send(channel, say.make("HUB_DECISION", uuid=uuid, approver="bob",
                                   decision=word, note="", sig=sigs[0]))
        send(channel, say.make("HUB_PUT_ANS", uuid=uuid, ok=True, text=""))
        send(channel, say.make("HUB_PUT_ANS", uuid=uuid, ok=False,
                               text="gone"))
    # a flood that nobody has asked for
    for _ in range(3000):
        send(channel, say.make("HUB_DECISION", uuid=UUID, approver="bob",
                               decision="approve", note="", sig=b"x"))
    # stay for the verdicts, then say one thing that no link may say
    channel.settimeout(6)
    while (got := receive(channel)) is not None:
        if got[0] == say.op["HUB_VERDICT"] and is_accepted(got[1]):
            gained("a decision counted")
    send(channel, say.make(say.name[say.ops[count() % len(say.ops)]]))
    channel.settimeout(None)
    while receive(channel) is not None:
        pass


def witness(channel, say):
    """A hub that never has enough: what it says stands in DIR/size. With
    DIR/note, one that shows that countersigned checkpoint again and again."""
    asked, note = 0, b""
    if os.path.exists(path := os.path.join(sys.argv[3], "note")):
        note = open(path, "rb").read()
    size = int(open(os.path.join(sys.argv[3], "size")).read())
    receive(channel)
    send(channel, say.make("LINK_STATUS", up=True, text=""))
    while (got := receive(channel)) is not None:
        if got[0] != say.op["HUB_TREE"]:
            continue
        asked += 1
        with open(os.path.join(sys.argv[3], "asked"), "w") as f:
            f.write(str(asked))
        send(channel, say.make("HUB_WITNESS", ok=note != b"", alarm=False,
                               size=size, note=note, text=""))


def verify(channel, say):
    got = receive(channel)
    if got is not None and got[0] == say.op["VERIFY_SIG_REQ"]:
        send(channel, say.make("VERIFY_SIG_ANS", ok=True,
                               key_type="ssh-ed25519", key_fp="SHA256:forged",
                               hardware=True, text=""))
    else:
        count("digests")
        send(channel, say.make("DIGEST_ANS", ok=True, is_unsigned=False,
                               digest="sha256:" + "0" * 64, files=1, bytes=1,
                               signer="", signer_fp="", text=""))
    receive(channel)


def main():
    say = Messages(sys.argv[1])
    mode = sys.argv[2]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    channel = socket.socket(fileno=3)
    become(USERS[mode])
    look_around()
    {"front": front, "link": link, "witness": witness}.get(mode, verify)(channel, say)


main()
