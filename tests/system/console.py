#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A person at a virtual console: types on its keyboard, reads its screen.

    console.py NUMBER SECONDS WORD=LINE... END

starts /bin/login on /dev/ttyNUMBER, as getty does, and for each WORD that the
screen shows types LINE and return. Done when the screen shows END, or login
ends (END is "" to wait for that); the screen goes to standard output. Fails
after SECONDS.
"""
import fcntl
import os
import select
import signal
import sys
import termios
import time

tty = f"/dev/tty{sys.argv[1]}"
until = time.monotonic() + float(sys.argv[2])
answers = [a.split("=", 1) for a in sys.argv[3:-1]]
end = sys.argv[-1]

keys = os.open(tty, os.O_RDWR | os.O_NOCTTY)
screen = os.open(f"/dev/vcs{sys.argv[1]}", os.O_RDONLY)
os.write(keys, b"\033c")  # an empty screen
columns = os.get_terminal_size(keys).columns
changed = select.poll()  # the screen's file says when it changes
changed.register(screen, select.POLLPRI)


def shown():
    text = os.pread(screen, 1 << 16, 0).decode(errors="replace")
    rows = (text[i : i + columns].rstrip() for i in range(0, len(text), columns))
    return "\n".join(r for r in rows if r)


login = os.fork()
if login == 0:
    os.setsid()
    fd = os.open(tty, os.O_RDWR)
    for i in range(3):
        os.dup2(fd, i)
    os.closerange(3, 64)
    os.execv("/bin/login", ["login"])

seen = 0
ended = False
while not ended and (not end or end not in shown()[seen:]):
    if time.monotonic() > until:
        print(shown())
        os.kill(login, signal.SIGHUP)
        sys.exit("console: nothing happens")
    ended = os.waitpid(login, os.WNOHANG)[0] != 0
    if answers and (at := shown().find(answers[0][0], seen)) >= 0:
        seen = at + len(answers[0][0])
        for byte in answers.pop(0)[1].encode() + b"\n":
            fcntl.ioctl(keys, termios.TIOCSTI, bytes([byte]))
        continue
    changed.poll(100)
print(shown())
if not ended:
    os.kill(login, signal.SIGHUP)
    os.waitpid(login, 0)
