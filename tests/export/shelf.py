"""A hub on 127.0.0.1: the endpoints by which huggingface_hub uploads and downloads models."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_toy"


class Shelf(ThreadingHTTPServer):
    """Repositories in memory; `asked`: what was asked; `cut`: files end after so many bytes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, dict[str, bytes]] = {}
        self.large: dict[str, bytes] = {}  # by sha256, until a commit names them
        self.asked: list[str] = []
        self.cut: int | None = None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def sha(self, repo):
        digest = hashlib.sha1()
        for name, content in sorted(self.repos[repo].items()):
            digest.update(name.encode() + content)
        return digest.hexdigest()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shelf

    def log_message(self, format, *args):
        pass

    def reply(self, content=b"", code=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for key, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            cut = self.server.cut if "ETag" in headers else None
            self.wfile.write(body[:cut])
            if cut is not None and cut < len(body):
                self.close_connection = True

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def known(self, repo):
        if repo not in self.server.repos:
            self.reply({"error": "no such repository"}, 404, X_Error_Code="RepoNotFound")
        return repo in self.server.repos

    def do_GET(self):
        self.server.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path):
            if self.known(repo := found[1]):
                files = [{"rfilename": name} for name in self.server.repos[repo]]
                self.reply({"id": repo, "sha": self.server.sha(repo), "siblings": files})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            if self.known(repo := found[1]):
                self.reply(
                    [
                        {"type": "file", "path": k, "size": len(v), "oid": etag(v)}
                        for k, v in self.server.repos[repo].items()
                    ]
                )
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            if self.known(repo := found[1]):
                content = self.server.repos[repo][found[2]]
                self.reply(content, ETag=f'"{etag(content)}"', X_Repo_Commit=self.server.sha(repo))
        else:
            self.reply({"error": "not found"}, 404)

    do_HEAD = do_GET

    def do_POST(self):
        self.server.asked.append(f"POST {self.path}")
        body = self.body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and "lfs" not in self.path:
            return self.reply({"error": "Invalid user token."}, 401)
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            self.server.repos.setdefault(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
            return self.reply({"url": f"{self.server.url}/{repo}"})
        if path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        if path.endswith("/preupload/main"):
            kinds = [
                {"path": each["path"], "uploadMode": mode(each["path"]), "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self.reply({"files": kinds})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.server.url}/lfs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return self.reply({"transfer": "basic", "objects": objects})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self.commit(found[1], [json.loads(line) for line in body.splitlines()])
        return self.reply({"error": "not found"}, 404)

    def do_PUT(self):
        self.server.large[self.path.removeprefix("/lfs/")] = self.body()
        self.reply()

    def commit(self, repo, lines):
        files = self.server.repos[repo]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large.pop(value["oid"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = self.server.sha(repo)
        self.reply({"commitOid": sha, "commitUrl": f"{self.server.url}/{repo}/commit/{sha}"})


def etag(content):
    return hashlib.sha1(content).hexdigest()


def mode(path):
    return "lfs" if path.endswith(".safetensors") else "regular"
