"""A server that answers as the Hugging Face hub does, as far as its library asks it here."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

TOKEN = "hf_secret"
Files = dict[str, bytes]


@dataclass
class Repo:
    """What a repository holds: the commit of each branch, and the files of each commit."""

    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Files] = field(default_factory=dict)

    def commit(self, files: Files, branch: str = "main") -> str:
        listed = sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items())
        commit = hashlib.sha1(repr((listed, branch, len(self.commits))).encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.branches[branch] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None


class Hub:
    """The server: its repositories (`models/owner/name`), and what it was asked."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[str] = []
        handler = type("Bound", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def use(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the hub's library of this process ask this server, with an empty cache."""
        constants = {
            "ENDPOINT": self.address,
            "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_DISABLE_XET": True,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.address
            + "/{repo_id}/resolve/{revision}/{filename}",
        }
        for name, value in constants.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(\w+)/([^/]+).*)?")
    FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")

    def do_GET(self) -> None:
        self.hub.asked.append(self.path)
        path = self.path.partition("?")[0]
        if found := self.API.fullmatch(path):
            kind, name, what, revision = found.groups()
            repo, commit = self.find(f"{kind}/{name}", revision or "main")
            if repo is None or commit is None:
                return
            files = repo.commits[commit].items()
            if what == "tree":
                self.json(
                    [{"type": "file", "path": n, "size": len(d), "oid": "0"} for n, d in files]
                )
            else:
                siblings = [{"rfilename": n, "size": len(d)} for n, d in files]
                facts = {"id": name, "sha": commit, "private": repo.private, "siblings": siblings}
                self.json(facts)
        elif found := self.FILE.fullmatch(path):
            dataset, name, revision, file = found.groups()
            repo, commit = self.find(f"{'datasets' if dataset else 'models'}/{name}", revision)
            if repo is None or commit is None:
                return
            if (data := repo.commits[commit].get(file)) is None:
                self.refuse(404, "EntryNotFound")
            else:
                digest = hashlib.sha1(data).hexdigest()
                self.answer(200, data, {"ETag": digest, "X-Repo-Commit": commit})
        else:
            self.refuse(404, "RepoNotFound")

    do_HEAD = do_GET  # noqa: N815 - as the server calls it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if not self.may_write():
            self.json({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/repos/create":
            self.create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self.validate(json.loads(body)["content"])
        elif found := self.API.fullmatch(self.path.partition("?")[0]):
            kind, name, what, revision = found.groups()
            repo = self.hub.repos[f"{kind}/{name}"]
            if what == "branch":
                known = revision in repo.branches
                repo.branches.setdefault(revision, repo.branches["main"])
                self.json({"error": "there"} if known else {}, 409 if known else 201)
            elif what == "preupload":
                files = json.loads(body)["files"]
                told = {"uploadMode": "regular", "shouldIgnore": False}
                self.json({"files": [{"path": one["path"], **told} for one in files]})
            elif what == "commit":
                self.commit(repo, name, revision, body)

    def create(self, asked: dict[str, Any]) -> None:
        if asked["organization"] != "owner":
            self.json({"error": "You don't have the rights to create a model there."}, 403)
            return
        name = f"{asked['organization']}/{asked['name']}"
        known = f"models/{name}" in self.hub.repos
        if not known:
            private = bool(asked.get("private")) or asked.get("visibility") == "private"
            repo = self.hub.repos[f"models/{name}"] = Repo(private)
            repo.commit({".gitattributes": b""})
        self.json({"url": f"{self.hub.address}/{name}"}, 409 if known else 200)

    def validate(self, page: str) -> None:
        try:
            yaml.safe_load(page.split("---\n")[1])
        except yaml.YAMLError:
            self.json({"errors": [{"message": "is no YAML"}], "warnings": []}, 400)
        else:
            self.json({"errors": [], "warnings": []})

    def commit(self, repo: Repo, name: str, branch: str, body: bytes) -> None:
        files = dict(repo.commits[repo.branches[branch]])
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        commit = repo.commit(files, branch)
        url = f"{self.hub.address}/{name}/commit/{commit}"
        self.json({"success": True, "commitUrl": url, "commitOid": commit})

    def find(self, key: str, revision: str) -> tuple[Repo | None, str | None]:
        """The repository and the commit; what is not there, or not shown, is answered as such."""
        repo = self.hub.repos.get(key)
        if repo is None or (repo.private and not self.may_write()):
            self.refuse(404, "RepoNotFound")
            return None, None
        commit = repo.resolve(unquote(revision))
        if commit is None:
            self.refuse(404, "RevisionNotFound")
        return repo, commit

    def may_write(self) -> bool:
        return self.headers["Authorization"] == f"Bearer {TOKEN}"

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, b"", {"X-Error-Code": code})

    def json(self, content: Any, status: int = 200) -> None:
        self.answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
