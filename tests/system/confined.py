#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Compares the table of agent/PRIVSEP.md with /proc of the processes.

	confined.py PRIVSEP.md MODELGATED-PID HUB-PID HUB-PORT

As root inside the sandbox. What is running is looked up below the agent and
the hub; what lives for one question is started as the monitor starts it, and
asked nothing. Prints "ok ROW" or "bad ROW: what differs".
"""
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time

LIBEXEC = "/usr/libexec/modelgate/"
CAPS = ("chown dac_override dac_read_search fowner fsetid kill setgid setuid "
        "setpcap linux_immutable net_bind_service net_broadcast net_admin "
        "net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot "
        "sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource "
        "sys_time sys_tty_config mknod lease audit_write audit_control "
        "setfcap").split()
LIMITS = {"cpu": ("Max cpu time", 1), "fsize": ("Max file size", 1),
          "as": ("Max address space", 1024), "nofile": ("Max open files", 1),
          "nproc": ("Max processes", 1)}


def rows(path):
    text = open(path).read().split("<!-- confine -->\n", 1)[1].split("\n\n")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    names = [c.strip() for c in lines[0].strip("|").split("|")]
    for line in lines[2:]:
        yield dict(zip(names, (c.strip() for c in line.strip("|").split("|"))))


def status(pid):
    return dict(line.split(":\t", 1) for line in
                open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)


def children(pid):
    return open(f"/proc/{pid}/task/{pid}/children").read().split()


def command(pid):
    words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")[:-1]
    return [w.decode() for w in words]


def running(parent, name, has_argument):
    for pid in children(parent):
        try:
            words = command(pid)
        except OSError:
            continue
        if words and os.path.basename(words[0]) == name and \
                (len(words) > 1) == has_argument:
            return pid
    return None


class Started:
    """A process of ours, with a channel on 3 on which nothing comes."""

    def __init__(self, words):
        self.ours, theirs = socket.socketpair()
        high = os.dup2(theirs.fileno(), 100)

        if words[0] == "mg-keep":
            store, self.more = os.pipe()
        else:
            store = os.open("/srv", os.O_RDONLY | os.O_DIRECTORY)

        def place():
            os.dup2(high, 3)
            os.dup2(store, 4)
        self.p = subprocess.Popen([LIBEXEC + words[0]] + words[1:],
                                  preexec_fn=place, pass_fds=(3, 4),
                                  stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL)
        os.close(high)
        os.close(store)
        theirs.close()
        self.pid = str(self.p.pid)

    def end(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.ours.close()


def settle(pid):
    """It has done what it does before it waits: it sleeps."""
    last = None
    for _ in range(2000):
        now = (status(pid)["CapEff"], status(pid)["Seccomp"],
               status(pid)["State"][0])
        if now == last and now[2] == "S":
            return
        last = now
        time.sleep(0.01)


def bits(words):
    return sum(1 << CAPS.index(w) for w in words.split() if w != "-")


def flaws(row, pid, by_hand, agent):
    st = status(pid)
    user = pwd.getpwnam(row["user"])
    if st["Uid"].split() != [str(user.pw_uid)] * 4:
        yield "uid " + st["Uid"]
    if st["Gid"].split() != [str(user.pw_gid)] * 4:
        yield "gid " + st["Gid"]
    if st["Groups"].split() and by_hand and user.pw_uid != 0:
        yield "groups " + st["Groups"]
    want, bound = bits(row["capabilities"]), int(st["CapBnd"], 16)
    if int(st["CapEff"], 16) != want & bound:
        yield f"CapEff {st['CapEff']}, not {want & bound:x}"
    if user.pw_uid != 0 and int(st["CapPrm"], 16) != 0:
        yield "CapPrm " + st["CapPrm"]
    if by_hand and user.pw_uid != 0 and bound != 0:
        yield "CapBnd " + st["CapBnd"]
    if row["no new privileges"] == "yes":
        if st["NoNewPrivs"] != "1":
            yield "no-new-privileges is not set"
        if int(st["CapPrm"], 16) != int(st["CapEff"], 16):
            yield "CapPrm " + st["CapPrm"]
    if int(st["CapInh"], 16) | int(st["CapAmb"], 16):
        yield "capabilities that are passed on"
    if (st["Seccomp"] == "2") != (row["calls"] != "-"):
        yield "Seccomp " + st["Seccomp"]
    if user.pw_uid != 0 and os.stat(f"/proc/{pid}/environ").st_uid != 0:
        yield "dumpable"
    limits = open(f"/proc/{pid}/limits").read()
    if not re.search(r"Max core file size +0 +0 ", limits):
        yield "core"
    for name, (title, unit) in LIMITS.items():
        soft, hard = re.search(re.escape(title) + r" +(\S+) +(\S+)",
                               limits).groups()
        if row[name] == "-":
            continue
        if soft != str(int(row[name]) * unit):
            yield f"{name} {soft}"
        if hard != soft and row["process"] != "modelgated":
            yield f"{name} can be raised to {hard}"
    for ns in os.listdir(f"/proc/{pid}/ns"):
        if not by_hand and os.readlink(f"/proc/{pid}/ns/{ns}") != \
                os.readlink(f"/proc/{agent}/ns/{ns}"):
            yield "another namespace: " + ns


def find(row, agent, hub, port, held):
    words = row["process"].split()
    if words == ["modelgated"]:
        return agent, None
    if words == ["modelgate-hub"]:
        return hub, None
    if words == ["mg-hub-conn"]:
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"SSH-2.0-confined\r\n")
        held.append(s)
        s.recv(1)
        return running(hub, "mg-hub-conn", False), None
    pid = running(agent, words[0], len(words) > 1)
    if pid is not None and words[0] in ("mg-front", "mg-ident", "mg-audit",
                                        "mg-run"):
        return pid, None
    if words[0] == "mg-probe":
        listener = socket.create_server(("127.0.0.1", 0))
        held.append(listener)
        words += ["127.0.0.1", str(listener.getsockname()[1])]
    if words[0] in ("mg-store", "mg-verify") and words[1] in ("copy", "digest"):
        words.append("/usr/share/doc")
    p = Started(words)
    return p.pid, p


def main():
    agent, hub, port = sys.argv[2], sys.argv[3], int(sys.argv[4])
    held = []
    for row in rows(sys.argv[1]):
        pid, p = find(row, agent, hub, port, held)
        if pid is None:
            print(f"bad {row['process']}: does not run")
            continue
        settle(pid)
        found = list(flaws(row, pid, p is not None, agent))
        if p is not None:
            p.end()
        print(f"bad {row['process']}: {'; '.join(found)}" if found
              else f"ok {row['process']}")


main()
