#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
A real server that speaks S3, on this host: OpenStack Swift with its S3 API.

    swift_s3.py FOLDER

Keeps everything in FOLDER: one account server, one container server, one
object server and a proxy, each a process of its own, on loopback. The access
key is "test:tester", the secret "testing". Prints the proxy's port once it
answers; ends with SIGTERM.
"""
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
import urllib.request

FOLDER = os.path.abspath(sys.argv[1])
KINDS = ("account", "container", "object", "proxy")
COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = %d
workers = 0
user = %s
swift_dir = %s
devices = %s/node
mount_check = false
log_level = ERROR
log_address = /nonexistent
"""
STORAGE = """[pipeline:main]
pipeline = %s-server
[app:%s-server]
use = egg:swift#%s
"""
PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:cache]
paste.filter_factory = swift_s3:cache
[filter:s3api]
use = egg:swift#s3api
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:symlink]
use = egg:swift#symlink
"""


class Cache:
    """What memcached would be, for one process."""

    def __init__(self):
        self.held = {}

    def get(self, key, **_):
        return self.held.get(key)

    def set(self, key, value, **_):
        self.held[key] = value

    def delete(self, key, **_):
        self.held.pop(key, None)


def cache(_, **__):
    held = Cache()

    def wrap(app):
        def call(env, start_response):
            env["swift.cache"] = held
            return app(env, start_response)
        return call
    return wrap


def serve(kind):
    from swift.common import utils, wsgi
    utils.SWIFT_CONF_FILE = FOLDER + "/swift.conf"
    sys.exit(wsgi.run_wsgi("%s/%s.conf" % (FOLDER, kind), kind + "-server"))


def free_ports(n):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def lay_out(ports):
    from swift.common.ring import RingBuilder
    os.makedirs(FOLDER + "/node/sda1")
    with open(FOLDER + "/swift.conf", "w", encoding="ascii") as f:
        f.write("[swift-hash]\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = one\ndefault = yes\n")
    for kind, port in zip(KINDS, ports):
        with open("%s/%s.conf" % (FOLDER, kind), "w", encoding="ascii") as f:
            f.write(COMMON % (port, pwd.getpwuid(os.getuid()).pw_name, FOLDER, FOLDER))
            f.write(PROXY if kind == "proxy" else STORAGE % (kind, kind, kind))
        if kind != "proxy":
            ring = RingBuilder(2, 1, 0)
            ring.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port,
                          "device": "sda1", "weight": 1})
            ring.rebalance()
            ring.get_ring().save("%s/%s.ring.gz" % (FOLDER, kind))


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as r:
            return r.status == 200
    except OSError:
        return False


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ports = free_ports(len(KINDS))
    lay_out(ports)
    children = [subprocess.Popen([sys.executable, __file__, FOLDER, kind], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL) for kind in KINDS]
    try:
        url = "http://127.0.0.1:%d/healthcheck" % ports[-1]
        until = time.monotonic() + 60
        while not answers(url):
            if time.monotonic() > until or any(c.poll() is not None for c in children):
                sys.exit("it does not come up")
            time.sleep(0.1)
        print(ports[-1], flush=True)
        signal.pause()
    finally:
        for c in children:
            c.terminate()
        for c in children:
            c.wait()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: with who started it
        serve(sys.argv[2])
    main()
