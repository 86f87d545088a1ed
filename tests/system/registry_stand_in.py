#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""
Stands in for a registry of models, on this host: it is not one.

    registry_stand_in.py huggingface|mlflow|s3 FOLDER

Speaks as much of the documented HTTP interfaces of the Hugging Face Hub, of
MLflow's tracking server and of S3 as the helpers in scripts/ops ask for, over
the files of FOLDER. What a file named FOLDER.how contains, one word a line,
goes wrong. Prints its port, then every request.
"""
import hashlib
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

HOW, FOLDER = sys.argv[1], sys.argv[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
lists = 0


def wrong():
    """The words of FOLDER.how."""
    try:
        with open(FOLDER + ".how", encoding="ascii") as f:
            return f.read().split()
    except OSError:
        return []


def files():
    """Every file below FOLDER: name -> bytes."""
    found = {}
    for at, _, names in sorted(os.walk(FOLDER)):
        for n in sorted(names):
            path = os.path.join(at, n)
            with open(path, "rb") as f:
                found[os.path.relpath(path, FOLDER)] = f.read()
    return found


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = data
        self.send_response(status)
        if "/resolve/" in self.path or "/mlflow-artifacts/artifacts/" in self.path:
            if "evil" in wrong():
                sent = data = data[:-1] + b"!"
            if "short" in wrong():
                sent = data[:-1]
            if "less" in wrong():
                sent = data = data[:-1]
            if "more" in wrong():
                sent = data = data + b"x" * 100000
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(sent)
        if len(sent) != len(data):
            self.close_connection = True

    def huggingface(self, path, _):
        model = "/api/models/ns/m/revision/"
        if path.startswith(model):
            if path[len(model):] != COMMIT and "moved" not in wrong():
                return self.reply(404, {"error": "Revision not found"})
            found = []
            for name, data in files().items():
                entry = {"rfilename": name, "size": len(data), "blobId":
                         hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
                if name.endswith(".safetensors"):
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(),
                                    "size": len(data), "pointerSize": 135}
                found.append(entry)
            for word in wrong():
                if word.startswith("name="):
                    found.append({"rfilename": unquote(word[5:]), "size": 1, "blobId": "0" * 40})
                if word.startswith("size="):
                    found[0]["size"] = int(word[5:])
            sha = COMMIT if "moved" not in wrong() else COMMIT[::-1]
            return self.reply(200, {"id": "ns/m", "sha": sha, "siblings": found})
        at = "/ns/m/resolve/" + COMMIT + "/"
        if path.startswith(at):
            if self.headers.get("Authorization") != "Bearer sesame":
                return self.reply(401)
            return self.reply(302, headers=[("Location", "http://localhost:%d/lfs/resolve/%s" % (
                server.server_port, path[len(at):]))])
        if path.startswith("/lfs/resolve/"):
            # Another host: it must not see the secret.
            print("secret seen" if "Authorization" in self.headers else "no secret", flush=True)
            return self.reply(200, files()[path[13:]])
        return self.reply(404)

    def mlflow(self, path, query):
        global lists
        if path == "/api/2.0/mlflow/model-versions/get":
            return self.reply(200, {"model_version": {
                "name": query["name"][0], "version": query["version"][0],
                "status": "FAILED_REGISTRATION" if "failed" in wrong() else "READY",
                "source": "models:/m-1", "run_id": "r", "creation_timestamp": 1}})
        if path == "/api/2.0/mlflow/model-versions/get-download-uri":
            uri = [w[4:] for w in wrong() if w.startswith("uri=")]
            return self.reply(200, {"artifact_uri": uri[0] if uri else "mlflow-artifacts:/1/m/artifacts"})
        at = "/api/2.0/mlflow-artifacts/artifacts"
        if path == at:
            lists += 1
            root, below = "1/m/artifacts", query["path"][0]
            below = below[len(root) + 1:]
            found = []
            folder = os.path.join(FOLDER, below)
            for n in sorted(os.listdir(folder)):
                p = os.path.join(folder, n)
                found.append({"path": n, "is_dir": os.path.isdir(p)} if os.path.isdir(p) else
                             {"path": n, "is_dir": False, "file_size": os.path.getsize(p)})
            if "grows" in wrong() and lists > 2:
                found.append({"path": "late", "is_dir": False, "file_size": 1})
            return self.reply(200, {"files": found})
        if path.startswith(at + "/1/m/artifacts/"):
            return self.reply(200, files()[path[len(at) + 15:]])
        return self.reply(404)

    def s3(self, path, query):
        if "versioning" in query:
            state = "" if "unversioned" in wrong() else "<Status>Enabled</Status>"
            return self.reply(200, ("<VersioningConfiguration>" + state + "</VersioningConfiguration>").encode())
        if "versions" in query:
            prefix = unquote(query["prefix"][0])
            out = "<ListVersionsResult><IsTruncated>false</IsTruncated>"
            for name, data in files().items():
                if name.startswith(prefix):
                    one = ("<Version><Key>%s</Key><VersionId>v-%s</VersionId><IsLatest>true</IsLatest>"
                           "<Size>%d</Size></Version>") % (escape(name), hashlib.md5(data).hexdigest(), len(data))
                    out += one + (one if "again" in wrong() else "")
            if "deleted" in wrong():
                out += "<DeleteMarker><Key>%sgone</Key><VersionId>d</VersionId></DeleteMarker>" % prefix
            return self.reply(200, (out + "</ListVersionsResult>").encode())
        data = files()[path.split("/", 2)[2]]
        if query["versionId"][0] != "v-" + hashlib.md5(data).hexdigest():
            return self.reply(404)
        got = "v-other" if "version" in wrong() else query["versionId"][0]
        if "evil" in wrong():
            data = data[:-1] + b"!"
        if "less" in wrong():
            data = data[:-1]
        return self.reply(200, data, [("x-amz-version-id", got), ("ETag", '"x"')])

    def do_GET(self):
        u = urlsplit(self.path)
        print("GET", self.path, flush=True)
        if "die" in wrong() and lists:
            os._exit(1)
        getattr(self, HOW)(unquote(u.path), parse_qs(u.query, keep_blank_values=True))


server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
