#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Plays a hostile client of the agent's socket.

	agent_peer.py frames	break the protocol in every way, one at a time
	agent_peer.py idle N	N connections that say nothing, or half a word
	agent_peer.py fds	descriptors where none, or too many, belong
	agent_peer.py fill N	N half-sent requests of the largest size
	agent_peer.py exec0 PROGRAM	run it with argc 0
	agent_peer.py file N	N requests "wait mI@1" that wait for approval
	agent_peer.py flood N	N connections of every bad kind, made again
				when they end; prints a refusal, and "holding"
	agent_peer.py gone N	ask, and end before the answer, N times
	agent_peer.py asked N	have a code asked for, and hang up, N times
	agent_peer.py guess N	give wrong codes for alice's login, as root's PAM
	agent_peer.py unenroll N	ask for what only root may, N times
	agent_peer.py turns N	when a line comes: N connections that ask; prints
				"waiting", then the time of each answer
	agent_peer.py linger SECONDS	pass a connection whose last close takes that
				long, in three ways; prints what another is told
	agent_peer.py stuck FILE	pass a file that whoever closes it waits for, in
				three ways; prints what another is told
	agent_peer.py address	ask from sockets whose names claim to be root's

The framing is written here a second time, from PROTOCOL.md. Each case of
frames and fds prints one line: NAME, then what came of it: "refused WHY
TEXT", "closed" or "silent". idle and fill print "holding N" and stay until
standard input ends.
"""
import array
import ctypes
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time

SOCKET = "/run/modelgate/agent.sock"
RUN, AUTH_ANS, SIGNAL, GIVEUP, LIST, END, LOG = range(1, 8)
ENROLL, UNENROLL, PAM_AUTH, PAM_ACCT, PAM_OPEN, PAM_CLOSE, INFO = range(8, 15)
REFUSED, AUTH_PROMPT, DONE = 20, 22, 29
AUTH_RESULT, RUN_SPEC, HUB_DECISION = 42, 50, 113


def string(s):
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">I", len(b) + 1) + b + b"\0"


def frame(op, payload, version=1, length=None, ident=1):
    n = len(payload) + 8 if length is None else length
    return struct.pack(">IHHI", n, op, version, ident) + payload


def run(operation="deploy", model="receipt-ocr", version="1", reason="x",
        ticket="", args=(), flags=1, term="", tail=b""):
    return frame(RUN, string(operation) + string(model) + string(version) +
                 string(reason) + string(ticket) +
                 struct.pack(">I", len(args)) +
                 b"".join(string(a) for a in args) +
                 struct.pack(">IQB", flags, 0, 0) + string(term) +
                 struct.pack(">HH", 0, 0) + tail)


def pam(op):
    return frame(op, string("sshd") + string("alice") + string("login") +
                 string("") * 3)


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(10)
    s.connect(SOCKET)
    return s


def read_exactly(s, n):
    d = b""
    while len(d) < n:
        piece = s.recv(n - len(d))
        if not piece:
            raise EOFError
        d += piece
    return d


def text_at(d, at):
    n = struct.unpack_from(">I", d, at)[0]
    return d[at + 4:at + 4 + n - 1].decode(), at + 4 + n


def answer(s):
    """The first refusal; or how the connection ended."""
    try:
        while True:
            n, op, _, _ = struct.unpack(">IHHI", read_exactly(s, 12))
            d = read_exactly(s, n - 8)
            if op != REFUSED:
                continue
            why = struct.unpack_from(">I", d)[0]
            code, at = text_at(d, 4)
            _, at = text_at(d, at)
            text, _ = text_at(d, at)
            return f"refused {why} {code or '-'} {text}"
    except (EOFError, ConnectionError, BrokenPipeError):
        return "closed"
    except socket.timeout:
        return "silent"


def send(s, data, fds=()):
    try:
        if fds:
            s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                array.array("i", fds))])
        else:
            s.sendall(data)
    except (ConnectionError, BrokenPipeError):
        pass


def bag(fds):
    """Descriptors in one, as agent/lib/mg_bag.h packs them."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    send(one, b"\0", fds)
    one.close()
    return other.detach()


def case(name, *data, fds=(), end=False):
    s = connect()
    for d in data:
        send(s, d, fds)
        fds = ()
    if end:
        s.shutdown(socket.SHUT_WR)
    print(name, answer(s), flush=True)
    s.close()


def frames():
    info = frame(INFO, b"\0")
    case("nothing-known", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    case("op-zero", frame(0, b""))
    case("op-unknown", frame(4711, b""))
    case("version", frame(INFO, b"\0", version=2))
    case("length-zero", frame(INFO, b"", length=0))
    case("length-huge", frame(INFO, b"", length=0xffffffff))
    case("oversize", frame(INFO, b"\0" * 64))
    case("trailing", frame(INFO, b"\0\0"))
    case("short", frame(INFO, b""))
    case("half-header", info[:5], end=True)
    case("half-payload", run()[:40], end=True)
    case("for-auth", frame(AUTH_RESULT, b"\1" + b"\0" * 16))
    case("for-run", frame(RUN_SPEC, b"\0" * 64))
    case("for-hub", frame(HUB_DECISION, b"\0" * 64))
    case("answer-of-agent", frame(29, string("granted")))
    case("slash", run(model="../../etc"))
    case("dots", run(model=".."))
    case("dash", run(model="-rf"))
    case("control", run(model="a\x1b[2J"))
    case("newline", run(operation="deploy\n"))
    case("long-name", run(model="a" * 10240))
    case("long-reason", run(reason="a" * 10240))
    case("reason-nul", run(reason=b"a\0b"))
    case("reason-utf8", run(reason=b"\xff\xfe"))
    case("unterminated", frame(RUN, struct.pack(">I", 5) + b"deplo"))
    case("string-huge", frame(RUN, struct.pack(">I", 0xffffffff) + b"x"))
    case("arg-control", run(args=["a\nb"]))
    case("args-many", run(args=["a"] * 33))
    case("count-huge", frame(RUN, string("deploy") + string("m") +
                             string("1") + string("x") + string("") +
                             struct.pack(">I", 0xffffffff)))
    case("term", run(term="../../etc/passwd"))
    case("flags", run(flags=0x80000000))
    case("bool", frame(LIST, b"\1" + string("") + b"\2"))
    case("second-question", run(flags=0) + info)
    for op, name in ((PAM_AUTH, "pam-auth"), (PAM_ACCT, "pam-acct"),
                     (PAM_OPEN, "pam-open"), (PAM_CLOSE, "pam-close")):
        case(name, pam(op))
    case("answer-unasked", frame(AUTH_ANS, string("123456")), info, end=True)
    case("signal-unasked", frame(SIGNAL, struct.pack(">I", 9)), info, end=True)


def descriptors():
    null = os.open("/dev/null", os.O_RDWR)
    info = frame(INFO, b"\0")
    case("one-unasked", info, fds=[null])
    case("many-unasked", info, fds=[null] * 250)
    case("before-half", info[:3], info[3:], fds=[null])
    case("two-for-one", run(), fds=[null] * 2)
    case("no-bag", run(), fds=[null])
    case("terminal", run(flags=0),
         fds=[bag([os.open("/dev/ptmx", os.O_RDWR)] * 3)])
    # a socket that holds itself: only the kernel's collector frees it
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    send(a, b"x", [a.fileno(), b.fileno()])
    case("ring", info, fds=[a.fileno(), b.fileno()])
    # as many as the kernel lets be in flight
    held = []
    for _ in range(200):
        s = connect()
        held.append(s)
        s.setblocking(False)
        try:
            for _ in range(20):
                s.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                     array.array("i", [null] * 250))])
        except OSError:
            pass
    print("bombs", len(held), flush=True)


def hold(n, data):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = []
    for i in range(n):
        try:
            s = connect()
            send(s, data[:i % (len(data) + 1)])
            held.append(s)
        except OSError as err:
            print("no more:", err, flush=True)
            break
    print("holding", len(held), flush=True)
    sys.stdin.read()


def file(n):
    """As fast as it is let; of models of its own."""
    filed = 0
    while filed < n:
        s = connect()
        send(s, run(operation="wait", model=f"m{filed}",
                    reason="r" * 900, flags=3))
        while True:
            size, op, _, _ = struct.unpack(">IHHI", read_exactly(s, 12))
            d = read_exactly(s, size - 8)
            if op in (REFUSED, DONE):
                break
        s.close()
        if op == REFUSED:
            print("refused", text_at(d, text_at(d, text_at(d, 4)[1])[1])[0])
            break
        filed += 1
    print("filed", filed, flush=True)


def misbehave(s, i, tick):
    half = run()[:-1]
    try:
        if i % 5 == 1 and tick == 0:
            s.send(half)
        elif i % 5 == 2:
            s.send(half[tick % len(half):][:1])
        elif i % 5 == 3:
            s.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                 array.array("i", [0] * 16))])
        elif i % 5 == 4 and tick == 0:  # and never reads
            s.send(frame(LIST, struct.pack(">BB", 1, 1) + string("")))
    except OSError:
        pass


def flood(n):
    held, said = [None] * n, set()
    os.set_blocking(0, False)
    while True:
        for i in range(n):
            if held[i] is None:
                held[i] = [connect(), 0]
            s, tick = held[i]
            misbehave(s, i, tick)
            held[i][1] += 1
            s.setblocking(False)
            try:
                if i % 5 != 4 and s.recv(1, socket.MSG_PEEK) in (b"", b"\0"):
                    s.settimeout(1)
                    said.add(answer(s))
                    s.close()
                    held[i] = None
            except OSError:
                pass
        for text in sorted(said - {"closed", "silent"}):
            print(text, flush=True)
        said = {"closed"}
        print("holding", flush=True)
        time.sleep(0.2)
        try:
            if os.read(0, 1) == b"":
                return
        except BlockingIOError:
            pass


def exec0(path):
    libc = ctypes.CDLL(None, use_errno=True)
    none = (ctypes.c_char_p * 1)(None)
    libc.execve(path.encode(), none, none)
    print("cannot exec:", os.strerror(ctypes.get_errno()))
    os._exit(70)


def gone(n):
    """Each asker is a process of its own that ends, early or late."""
    for i in range(n):
        pid = os.fork()
        if pid == 0:
            s = connect()
            send(s, run(flags=0) if i % 2 else pam(PAM_ACCT))
            if i % 3 == 0:
                os.kill(os.getpid(), 9)
            time.sleep(0.0005 * (i % 7))
            os._exit(0)
        os.waitpid(pid, 0)


def slow_close(seconds):
    """A connection whose last close takes that long; and its other end."""
    server = socket.create_server(("127.0.0.1", 0))
    slow = socket.create_connection(server.getsockname())
    held, _ = server.accept()  # reads nothing
    slow.setblocking(False)
    try:
        while True:
            slow.send(b"x" * 65536)
    except BlockingIOError:
        pass
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, seconds))
    return slow, held


def closed(sock):
    """By a thread: where the agent was faster it is this close that lingers."""
    threading.Thread(target=sock.close, daemon=True).start()


def linger(seconds):
    keep = []
    for way in "itself", "on its way", "not wanted":
        slow, held = slow_close(seconds)
        keep.append(held)
        if way == "on its way":  # closed with the socket that it waits in
            one, other = socket.socketpair()
            send(one, b"x", fds=[slow.fileno()])
            one.close()
            closed(slow)
            slow = other
        s = connect()
        send(s, run(), fds=[slow.fileno()] * (2 if way == "not wanted" else 1))
        closed(slow)
        answer(s)
        s.close()
        s = connect()
        send(s, run())
        print(f"{way}:", answer(s), flush=True)
        s.close()


def stuck(path):
    """Closes it no sooner than the agent: it would wait, too."""
    fd = os.open(path, os.O_RDONLY)
    for way, fds in (("itself", [fd]), ("not wanted", [fd] * 2),
                     ("in a bag", [bag([fd] * 3)])):
        s = connect()
        send(s, run(), fds=fds)
        print(f"{way}:", answer(s), flush=True)
        s.close()
        s = connect()
        send(s, run())
        print("then:", answer(s), flush=True)
        s.close()
    signal.pause()


def address():
    for name in ("\0;uid=0;", "\0pid=1;uid=0;socket=/run/snapd.socket;",
                 f"/tmp/;uid=0;{os.getpid()}", "\0" + "root" * 20):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(10)
        s.bind(name)
        s.connect(SOCKET)
        send(s, pam(PAM_ACCT))
        print("address", answer(s), flush=True)
        s.close()


def pam_guess(n):
    """As a program of root's that lets alice log in; she knows no code."""
    for _ in range(n):
        s = connect()
        send(s, pam(PAM_ACCT))
        while True:
            size, op, _, _ = struct.unpack(">IHHI", read_exactly(s, 12))
            d = read_exactly(s, size - 8)
            if op == AUTH_PROMPT:
                send(s, frame(AUTH_ANS, string("000000")))
            elif op in (REFUSED, DONE):
                print("guess", "in" if op == DONE else
                      "refused", flush=True)
                break
        s.close()


def turns(n):
    sys.stdin.readline()
    held = []
    for _ in range(n):
        held.append(connect())
        send(held[-1], frame(INFO, b"\0"))
    print("waiting", flush=True)
    while held:
        for s in select.select(held, [], [])[0]:
            held.remove(s)
            print(time.monotonic_ns(), struct.unpack(
                ">IHHI", read_exactly(s, 12))[1], flush=True)


def asked(n):
    """Until there were n questions; one too soon after another is refused."""
    prompts = 0
    for _ in range(20 * n):
        if prompts == n:
            break
        s = connect()
        send(s, run(operation="rollback", flags=4))
        s.settimeout(10)
        while True:
            size, op, _, _ = struct.unpack(">IHHI", read_exactly(s, 12))
            read_exactly(s, size - 8)
            if op in (REFUSED, AUTH_PROMPT, DONE):
                prompts += op == AUTH_PROMPT
                break
        s.close()
    print("asked", prompts)


def unenroll(n):
    for _ in range(n):
        s = connect()
        send(s, frame(UNENROLL, string("alice")))
        print("unenroll", answer(s), flush=True)
        s.close()


def main():
    what = sys.argv[1]
    if what == "frames":
        frames()
    elif what == "fds":
        descriptors()
    elif what == "idle":
        hold(int(sys.argv[2]), frame(INFO, b"\0")[:11])
    elif what == "fill":
        hold(int(sys.argv[2]), run(reason="a" * 1000, args=["b" * 900] * 32)[:-1])
    elif what == "file":
        file(int(sys.argv[2]))
    elif what == "flood":
        flood(int(sys.argv[2]))
    elif what == "gone":
        gone(int(sys.argv[2]))
    elif what == "turns":
        turns(int(sys.argv[2]))
    elif what == "asked":
        asked(int(sys.argv[2]))
    elif what == "guess":
        pam_guess(int(sys.argv[2]))
    elif what == "unenroll":
        unenroll(int(sys.argv[2]))
    elif what == "linger":
        linger(int(sys.argv[2]))
    elif what == "stuck":
        stuck(sys.argv[2])
    elif what == "address":
        address()
    elif what == "exec0":
        exec0(sys.argv[2])


main()
