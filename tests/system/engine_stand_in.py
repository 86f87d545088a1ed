#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""
Stands in for a serving engine, which Debian does not have: it is not one.

    engine_stand_in.py triton REPOSITORY [KEY]
    engine_stand_in.py ollama
    engine_stand_in.py tfserving MODELS.CONFIG
    engine_stand_in.py openai PORT PATH NAME...

Speaks as much of the engine's documented HTTP interface as the helpers in
scripts/ops use, and behaves as the documentation says: Triton's model
repository extension in explicit mode, with --http-restricted-api; Ollama's
blobs, create, copy, delete and tags; TensorFlow Serving's model status, with
a list of models that is read again when it has changed; what vLLM and
llama-server have in common. Prints its port, then every request.
"""
import hashlib
import json
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

HOW = sys.argv[1]
REPOSITORY = sys.argv[2] if len(sys.argv) > 2 else ""
KEY = sys.argv[3] if len(sys.argv) > 3 else None
ready = {"other": "1"}  # Triton: model -> version
blobs, models = {}, {}  # Ollama
read_at, states, labels = None, {}, {}  # TensorFlow Serving


def triton_load(name):
    """The pinned version of the model, if its files are there."""
    home = os.path.join(REPOSITORY, name)
    with open(os.path.join(home, "config.pbtxt"), encoding="ascii") as f:
        pinned = re.search(r"versions: \[(\d+)\]", f.read()).group(1)
    if not os.path.exists(os.path.join(home, pinned, "model.onnx")):
        return None
    return pinned


def tf_config(text):
    """The models of a model_config_list: name -> (folder, versions, labels)."""
    found = {}
    for block in re.split(r"\bconfig \{", text)[1:]:
        name = re.search(r"name: *[\"']([^\"']+)", block)[1]
        found[name] = (
            re.search(r"base_path: *[\"']([^\"']+)", block)[1],
            re.findall(r"versions: *(\d+)", block),
            dict(re.findall(r"key: *\"(\w+)\" value: *(\d+)", block)))
    return found


def tf_read():
    """Reads the list again when it has changed."""
    global read_at
    now = os.stat(REPOSITORY).st_mtime_ns
    if now == read_at:
        return
    read_at = now
    with open(REPOSITORY, encoding="ascii") as f:
        want = tf_config(f.read())
    for name, (_, _, to) in want.items():
        for label, version in to.items():
            if states.get((name, version)) != "AVAILABLE":
                print("rejected", name, label, version, flush=True)
                return
    for name, version in list(states):
        if name not in want or version not in want[name][1]:
            if states[name, version] == "AVAILABLE":
                print("unloaded", name, version, flush=True)
            states[name, version] = "END"
    labels.clear()
    for name, (folder, versions, to) in want.items():
        labels[name] = to
        for version in versions:
            if states.get((name, version)) != "AVAILABLE":
                there = os.path.exists(os.path.join(folder, version, "saved_model.pb"))
                states[name, version] = "LOADING" if there else "FAILED"


class Engine(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def triton(self, body):
        m = re.fullmatch(r"/v2/models/([^/]+)/versions/(\d+)/ready", self.path)
        if m:
            return self.reply(200 if ready.get(m[1]) == m[2] else 400)
        if KEY and self.headers.get("key") != KEY:
            return self.reply(403, {"error": "This API is restricted"})
        if self.path == "/v2/repository/index":
            return self.reply(200, [{"name": n, "version": v, "state": "READY"}
                                    for n, v in ready.items()])
        m = re.fullmatch(r"/v2/repository/models/([^/]+)/(load|unload)", self.path)
        if not m or body:
            return self.reply(400, {"error": "not that, with a body"})
        if m[2] == "unload":
            ready.pop(m[1], None)
            return self.reply(200)
        if os.path.exists(os.path.join(REPOSITORY, "die")):
            os._exit(1)
        try:
            version = triton_load(m[1])
        except (OSError, AttributeError):
            version = None
        if version is None:
            return self.reply(400, {"error": "failed to load \x1b[31m" + m[1]})
        ready[m[1]] = version
        if os.path.exists(os.path.join(REPOSITORY, "evict")):
            ready.pop("other", None)
        return self.reply(200)

    def ollama(self, body):
        m = re.fullmatch(r"/api/blobs/sha256:([0-9a-f]{64})", self.path)
        if m:
            if hashlib.sha256(body).hexdigest() != m[1]:
                return self.reply(400, {"error": "digest mismatch"})
            blobs["sha256:" + m[1]] = body
            return self.reply(201)
        if self.path == "/api/tags":
            return self.reply(200, {"models": [{"name": n, "digest": d}
                                               for n, d in models.items()]})
        q = json.loads(body)
        if self.path == "/api/create":
            digest = list(q["files"].values())[0]
            if digest not in blobs:
                return self.reply(400, {"error": "blob not found"})
            models[q["model"]] = digest[7:]
            return self.reply(200, {"status": "success"})
        if self.path == "/api/copy":
            if q["source"] not in models:
                return self.reply(404, {"error": "not found"})
            models[q["destination"]] = models[q["source"]]
            return self.reply(200)
        if self.path == "/api/delete":
            return self.reply(200 if models.pop(q["model"], None) else 404)
        return self.reply(404)

    def tfserving(self, _):
        tf_read()
        m = re.fullmatch(r"/v1/models/([^/:]+)(?:/(versions|labels)/(\w+))?", self.path)
        if not m:
            return self.reply(404, {"error": "Malformed request"})
        name, version = m[1], m[3]
        if m[2] == "labels":
            version = labels.get(name, {}).get(m[3])
        got = [{"version": v, "state": "END" if s == "FAILED" else s, "status": {
            "error_code": "UNKNOWN" if s == "FAILED" else "OK",
            "error_message": "no saved_model.pb\x1b[31m" if s == "FAILED" else ""}}
               for (n, v), s in states.items() if n == name and (v == version or not m[2])]
        # What loads is loaded the next time.
        for key, state in states.items():
            if state == "LOADING":
                states[key] = "AVAILABLE"
        if not got:
            return self.reply(404, {"error": "Could not find any versions of model " + name})
        return self.reply(200, {"model_version_status": got})

    def openai(self, _):
        if self.path == "/health":
            return self.reply(200)
        return self.reply(200, {"data": [{"id": n} for n in sys.argv[4:]]})

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        print(self.command, self.path, flush=True)
        if HOW == "triton":
            # An index request has a body, which says that it wants the ready.
            self.triton(b"" if self.path == "/v2/repository/index" else body)
        else:
            getattr(self, HOW)(body)

    do_GET = do_POST = do_DELETE = answer


port = 0
if HOW == "openai":
    port = int(sys.argv[2])
    model = sys.argv[3] if os.path.isfile(sys.argv[3]) else sys.argv[3] + "/config.json"
    if not os.path.getsize(model):
        sys.exit("not a model: " + model)
server = HTTPServer(("127.0.0.1", port), Engine)
print(server.server_port, flush=True)
server.serve_forever()
