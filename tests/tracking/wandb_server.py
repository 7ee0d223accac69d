"""Enough of wandb's server, on a loopback address, for its client to send runs and artifacts to it."""

import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SPLITS = ("emotiw/Val", "fer2013/PublicTest", "fer2013/PrivateTest")


class WandbServer(ThreadingHTTPServer):
    """What was sent to it.

    Attributes:
        refuses: the status by which everything is answered, or what is sent after a run has begun; 0: none.
        from_the_start: whether that goes for the beginning of a run too.
        history: by run, what was logged, in the order in which it came.
        artifacts: names of weights in the order in which they came, with the run that made each; None: it was used.
        made: all artifacts by id.
        finished: exit codes of runs whose end it was told.
    """

    def __init__(self, refuses: int = 0, from_the_start: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.refuses, self.from_the_start = refuses, from_the_start
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.artifacts: list[tuple[str, str | None]] = []
        self.made: dict[str, Any] = {}
        self.finished: dict[str, int] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is nothing to print."""


@contextmanager
def wandb_server(refuses: int = 0, from_the_start: bool = False) -> Iterator[WandbServer]:
    """A server, until the end of the block."""
    with WandbServer(refuses, from_the_start) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _charts(split: str) -> tuple[str, str]:
    return f"confusion/{split}_table", f"recall/{split}_table"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_PUT(self) -> None:
        self._body()
        self._reply({})

    def do_GET(self) -> None:
        """Whatever artifact's manifest: the client looks its tables up there."""
        of = {"storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {"storageLayout": "V2"}}
        tables = [f"{name}.table.json" for split in SPLITS for name in (f"predictions/{split}", *_charts(split))]
        self._reply(
            {
                "version": 1,
                **of,
                "contents": {
                    name: {"digest": "1B2M2Y8AsgTpgAmY7PhCfg==", "birthArtifactID": "b", "size": 1} for name in tables
                },
            }
        )

    def do_POST(self) -> None:
        body, begins = self._body(), False
        data: dict[str, Any] | None = {}
        if self.path == "/graphql":
            operation = re.search(r"(?:query|mutation)\s+(\w+)", body["query"])
            name = operation[1] if operation else "viewer"
            begins = name in ("ServerFeaturesQuery", "RunResumeStatus", "UpsertBucket")
            data = self._data(name, body["variables"] if body.get("variables") else {})
        elif not self.server.refuses:
            self._take(self.path.split("/")[-2], body)
        refused = self.server.refuses and (self.server.from_the_start or not begins)
        status = self.server.refuses if refused else 400 if data is None else 200
        self._reply({"data": data} if status == 200 else {"errors": [{"message": "no"}]}, status)

    def _body(self) -> Any:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        return json.loads(body) if self.command == "POST" else None

    def _reply(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _take(self, run: str, body: Any) -> None:
        """What is logged of a run, and its end."""
        files = body.get("files") or {}
        kept = self.server.history.setdefault(run, [])
        kept += [json.loads(line) for line in files.get("wandb-history.jsonl", {}).get("content", [])]
        if body.get("complete"):
            self.server.finished[run] = int(body["exitcode"])

    def _data(self, name: str, of: Any) -> dict[str, Any] | None:
        """The answer to an operation; None: to one that is not known."""
        project = {"id": "1", "name": "p", "entity": {"id": "e", "name": "me"}}
        if name == "RunResumeStatus":
            return {"model": {**project, "bucket": self._resumed(of["name"])}}
        if name == "UpsertBucket":
            run = {"id": of["name"], "name": of["name"], "displayName": of["displayName"], "config": of["config"]}
            return {"upsertBucket": {"bucket": {**run, "project": project, "historyLineCount": 0}, "inserted": True}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.server.address}/{file}"} for file in of["files"]]
            return {"createRunFiles": {"runID": of["run"], "uploadHeaders": [], "files": files}}
        if name == "CreateArtifact":
            return {"createArtifact": {"artifact": self._made(of["input"])}}
        if name == "ArtifactByID":
            return {"artifact": self.server.made[of["id"]]}
        manifest = {"file": {"directUrl": f"{self.server.address}/manifest"}}
        return {
            "FetchArtifactManifest": {"artifact": {"currentManifest": manifest}},
            "ServerFeaturesQuery": {"serverInfo": {"features": []}},
            "OrganizationCoreWeaveOrganizationID": {"entity": None},
            "viewer": {"viewer": {"id": "v"}},
            "Viewer": {
                "viewer": {"id": "v", "entity": "me", "flags": "{}", "teams": {"edges": []}},
                "serverInfo": None,
            },
            "ArtifactType": {"project": {"artifact": None}},
            "UseArtifact": {"useArtifact": {"artifact": {"id": "used"}}},
        }.get(name)

    def _resumed(self, run: str) -> dict[str, Any] | None:
        history = self.server.history.get(run)
        if history is None:
            return None
        tail = json.dumps([json.dumps(row) for row in history[-1:]])
        counts = {"historyLineCount": len(history), "logLineCount": 0, "eventsLineCount": 0}
        about = {"id": run, "name": run, "summaryMetrics": json.dumps(history[-1] if history else {}), "config": "{}"}
        return {**about, **counts, "historyTail": tail, "eventsTail": "[]", "tags": [], "wandbConfig": '{"t": 1}'}

    def _made(self, given: Any) -> dict[str, Any]:
        """As one that the server had already: nothing of it is sent."""
        name = given["artifactCollectionName"]
        if given["artifactTypeName"] == "model":
            self.server.artifacts.append((name, given["runName"]))
        place = {"__typename": "ArtifactSequence", "name": name, "project": {"name": "p", "entity": {"name": "me"}}}
        made = {
            "__typename": "Artifact",
            "id": b64encode(given["digest"].encode()).decode(),
            "artifactSequence": {**place, "latestArtifact": None},
            "versionIndex": 0,
            "artifactType": {"name": given["artifactTypeName"]},
            "description": None,
            "metadata": "{}",
            "ttlDurationSeconds": 0,
            "ttlIsInherited": False,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": 1,
            "digest": given["digest"],
            "commitHash": "0",
            "fileCount": 1,
            "createdAt": "2026-01-01T00:00:00",
            "updatedAt": None,
            "aliases": [],
        }
        self.server.made[made["id"]] = made
        return made
