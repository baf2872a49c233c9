"""A fake of Kubeflow Pipelines: the v2beta1 calls of the real client, with the responses of release 2.0.5.

The same tests run on the fake and on the real server (``tests/operator/backends/test_contract.py``). The fake executes
nothing; ``advance`` moves every run to its next state.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Fields = dict[str, Any]
_STEP = ("root", "say", "executor")
_CHILD_PATHS = {
    "": "root-driver",
    "root-driver": "root",
    "root": "root.say-driver",
    "say-driver": "root.say",
    "say": "root.say.executor",
    "executor": "",
}
"""Task -> the path of its child: a node's children are what begins inside of it, or after it. Empty: the workflow."""
NOT_YET = "1970-01-01T00:00:00Z"
_BASE = "/apis/v2beta1"


class PipelinesApiError(Exception):
    """An error response.

    Args:
        status: HTTP status.
        code: gRPC code.
        prefix: text before the message in the main message of the response.
        message: the message.
    """

    def __init__(self, status: int, code: int, prefix: str, message: str) -> None:
        details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": message}]
        self.status = status
        self.body = {
            "error": f"{prefix}: {message}",
            "code": code,
            "message": f"{prefix}: {message}",
            "details": details,
        }


@dataclass(frozen=True)
class HttpReply:
    """A response with its headers."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass
class InjectedFaults:
    """Faults that a test injects.

    Attributes:
        replies: replace the replies to the next requests, one each.
        permanent_reply: replaces the replies to all requests.
        delay: seconds before every reply.
        lose: pattern of a request line; the server processes the first matching request, but does not reply.
    """

    replies: list[HttpReply] = field(default_factory=list)
    permanent_reply: HttpReply | None = None
    delay: float = 0.0
    lose: str = ""


class PipelinesServer:
    """A server that runs while its context is open.

    Attributes:
        requests: ``<method> <path>`` of each request.
        tokens: the header ``Authorization`` of each request.
        faults: the injected faults.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self.faults = InjectedFaults()
        self.experiments: dict[str, Fields] = {}
        self.pipelines: dict[str, Fields] = {}
        self.versions: dict[str, Fields] = {}
        self.runs: dict[str, Fields] = {}
        self.lock = threading.RLock()
        self.stopped = True
        self._http = self._make_http_server(0)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> "PipelinesServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server; after ``stop`` with the same port and runs."""
        if self._http.fileno() < 0:
            self._http = self._make_http_server(self._http.server_port)
        self.stopped = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Stops the server; open connections end at the next request."""
        if not self.stopped:
            self.stopped = True
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()

    def _make_http_server(self, port: int) -> ThreadingHTTPServer:
        return ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_PipelinesHandler,), {"place": self}))

    def advance(self) -> None:
        """Moves every run to its next state; a run with the parameter ``what=wait`` runs until it is terminated.

        So does a run whose image is nowhere: its step waits for the pod.
        """
        with self.lock:
            for run in self.runs.values():
                self.put_state(run, "RUNNING" if self._has_no_image(run) else _next_state(run))

    def put_state(self, run: Fields, state: str | None) -> None:
        """Sets the state of a run, and the fields that the real server sets with it."""
        history = run.setdefault("state_history", [])
        history += [
            {"update_time": _now(), "state": new_state}
            for new_state in dict.fromkeys((run["state"], state))
            if new_state and (not history or history[-1]["state"] != new_state)
        ]
        run["state"] = state
        if state in ("SUCCEEDED", "FAILED", "CANCELED"):
            run["finished_at"] = _now()
            run["run_details"] = {"task_details": _tasks(run["run_id"], dict.fromkeys(_STEP, state))}
        elif state == "RUNNING":
            executor = "PENDING" if self._has_no_image(run) else "RUNNING"
            states = {"root": "RUNNING", "say": "RUNNING", "executor": executor}
            run["run_details"] = {"task_details": _tasks(run["run_id"], states)}

    def _has_no_image(self, run: Fields) -> bool:
        version = self.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
        executors = version["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"].values()
        is_missing = any(executor["container"]["image"].startswith("nowhere.invalid/") for executor in executors)
        return is_missing and run["state"] in ("PENDING", "RUNNING")

    def runs_named(self, name: str) -> list[Fields]:
        """Returns the runs with this name."""
        return [run for run in self.runs.values() if run["display_name"] == name]


def _next_state(run: Fields) -> str:
    behaviour = run["runtime_config"].get("parameters", {}).get("what")
    steps = {"PENDING": "RUNNING", "CANCELING": "FAILED", "RUNNING": "FAILED" if behaviour == "refuse" else "SUCCEEDED"}
    state = str(run["state"])
    return state if (state, behaviour) == ("RUNNING", "wait") else steps.get(state, state)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tasks(run: str, states: dict[str, str]) -> list[Fields]:
    """Returns tasks like those of Argo's nodes: the workflow, its graph, a step, its driver and its executor."""
    workflow, at = "probe-4gcxm", _now()
    tasks = []
    for name, child in _CHILD_PATHS.items():
        task_fields = {
            "display_name": name or workflow,
            "run_id": run,
            "task_id": str(uuid.uuid4()),
            "create_time": at,
            "start_time": at,
            "end_time": at,
        }
        children = {"child_tasks": [{"pod_name": _node_id(workflow, child)}]} if child else {}
        state = "SUCCEEDED" if name.endswith("-driver") else states.get(name, states["root"])
        tasks.append(task_fields | children | {"state": state})
    return tasks


def _node_id(workflow: str, path: str) -> str:
    """The identifier of an Argo node: FNV-1a of its path."""
    value = 2166136261
    for byte in f"{workflow}.{path}".encode():
        value = (value ^ byte) * 16777619 % 2**32
    return f"{workflow}-{value}"


def _matches(query: Fields) -> Callable[[Fields], bool]:
    """Returns the predicate of the filter in a query."""
    predicates = json.loads(query.get("filter") or "{}").get("predicates", [])
    for predicate in predicates:
        if predicate["key"] != "display_name":
            detail = f'no support for filtering on unrecognized field "{predicate["key"]}"'
            raise PipelinesApiError(400, 3, "Failed to create list options: Invalid input error", detail)

    def match(resource: Fields) -> bool:
        return all(
            resource["display_name"] == p["stringValue"]
            if p["operation"] == 1
            else p["stringValue"] in resource["display_name"]
            for p in predicates
        )

    return match


def _page_of(name: str, resources: list[Fields], query: Fields) -> Fields:
    """Returns one page, without the list when it is empty, like protobuf."""
    begin, size = int(query.get("page_token") or 0), int(query.get("page_size") or 20)
    page = resources[begin : begin + size]
    if not page:
        return {}
    rest = {"next_page_token": str(begin + size)} if begin + size < len(resources) else {}
    return {name: page, "total_size": len(resources), **rest}


class _Calls:
    """The calls of the API; each takes the query and the body of a request."""

    def __init__(self, server: PipelinesServer) -> None:
        self._server = server

    def health(self, query: Fields, body: Any) -> Fields:
        return {"multi_user": False}

    def list_experiments(self, query: Fields, body: Any) -> Fields:
        return _page_of("experiments", list(filter(_matches(query), self._server.experiments.values())), query)

    def create_experiment(self, query: Fields, body: Any) -> Fields:
        return self._create("experiment", self._server.experiments, body | {"storage_state": "AVAILABLE"})

    def list_pipelines(self, query: Fields, body: Any) -> Fields:
        return _page_of("pipelines", list(filter(_matches(query), self._server.pipelines.values())), query)

    def create_pipeline(self, query: Fields, body: Any) -> Fields:
        return self._create("pipeline", self._server.pipelines, body)

    def list_versions(self, query: Fields, body: Any, pipeline: str) -> Fields:
        versions = [version for version in self._server.versions.values() if version["pipeline_id"] == pipeline]
        return _page_of("pipeline_versions", list(filter(_matches(query), versions)), query)

    def get_version(self, query: Fields, body: Any, pipeline: str, version: str) -> Fields:
        if version not in self._server.versions:
            prefix = "Failed to get a pipeline version: ResourceNotFoundError"
            raise PipelinesApiError(404, 5, prefix, f"PipelineVersion {version} not found")
        return self._server.versions[version]

    def upload_version(self, query: Fields, body: Any) -> Fields:
        documents = list(yaml.safe_load_all(body))
        spec = {"pipeline_spec": documents[0], **({"platform_spec": documents[1]} if documents[1:] else {})}
        fields = {"pipeline_id": query["pipelineid"], "display_name": query["name"], "pipeline_spec": spec}
        return self._create("pipeline_version", self._server.versions, fields)

    def list_runs(self, query: Fields, body: Any) -> Fields:
        experiment_runs = [run for run in self._server.runs.values() if run["experiment_id"] == query["experiment_id"]]
        return _page_of("runs", list(filter(_matches(query), experiment_runs)), query)

    def create_run(self, query: Fields, body: Any) -> Fields:
        version = self._server.versions[body["pipeline_version_reference"]["pipeline_version_id"]]
        root = version["pipeline_spec"]["pipeline_spec"]["root"]
        declared = root.get("inputDefinitions", {}).get("parameters", {})
        if unknown := set(body["runtime_config"].get("parameters") or ()) - set(declared):
            detail = f"parameter(s) provided are not required by pipeline: {', '.join(unknown)}"
            raise PipelinesApiError(400, 3, "Failed to create a new run: Failed to generate the ExecutionSpec", detail)
        state = {"state": "PENDING", "finished_at": NOT_YET, "storage_state": "AVAILABLE"}
        return self._create("run", self._server.runs, body | state, unique=False)

    def get_run(self, query: Fields, body: Any, run: str) -> Fields:
        if run not in self._server.runs:
            raise PipelinesApiError(404, 5, "Failed to get a run: ResourceNotFoundError", f"Run {run} not found")
        return self._server.runs[run]

    def terminate(self, query: Fields, body: Any, run: str) -> Fields:
        run_fields = self.get_run(query, body, run)
        if run_fields["state"] not in ("PENDING", "RUNNING"):
            prefix = f"Failed to terminate a run: Failed to terminate run {run}: Invalid input error"
            raise PipelinesApiError(400, 3, prefix, f"Failed to terminate a run {run}. Row not found")
        run_fields["state"] = "CANCELING"
        return {}

    def _create(self, kind: str, collection: dict[str, Fields], fields: Fields, unique: bool = True) -> Fields:
        name = fields["display_name"]
        if unique and any(existing["display_name"] == name for existing in collection.values()):
            detail = f"Failed to create a new {kind}. The name {name} already exists. Please specify a new name"
            raise PipelinesApiError(409, 6, f"Failed to create a {kind}: Already exist error", detail)
        resource = {f"{kind}_id": str(uuid.uuid4()), **fields, "created_at": _now()}
        collection[resource[f"{kind}_id"]] = resource
        return resource


_ROUTES: list[tuple[str, str]] = [
    (r"GET /healthz", "health"),
    (r"GET /experiments", "list_experiments"),
    (r"POST /experiments", "create_experiment"),
    (r"GET /pipelines", "list_pipelines"),
    (r"POST /pipelines", "create_pipeline"),
    (r"GET /pipelines/([^/]+)/versions", "list_versions"),
    (r"GET /pipelines/([^/]+)/versions/([^/]+)", "get_version"),
    (r"POST /pipelines/upload_version", "upload_version"),
    (r"GET /runs", "list_runs"),
    (r"POST /runs", "create_run"),
    (r"GET /runs/([^/:]+)", "get_run"),
    (r"POST /runs/([^/:]+):terminate", "terminate"),
]


class _PipelinesHandler(BaseHTTPRequestHandler):
    place: PipelinesServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it would cost 40 ms for each reply

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing."""

    def _serve(self) -> None:
        server, parts = self.place, urlsplit(self.path)
        body = self._body()
        if server.stopped:
            self.close_connection = True
            return
        line = f"{self.command} {parts.path.removeprefix(_BASE)}"
        with server.lock:
            server.requests.append(line)
            server.tokens.append(self.headers.get("Authorization", ""))
            reply = server.faults.replies.pop(0) if server.faults.replies else server.faults.permanent_reply
        time.sleep(server.faults.delay)
        if reply is None:
            with server.lock:
                reply = self._reply_to(line, {key: values[0] for key, values in parse_qs(parts.query).items()}, body)
        if server.faults.lose and re.match(server.faults.lose, line):
            server.faults.lose = ""
            self.close_connection = True
            return
        self._send(reply)

    def _reply_to(self, line: str, query: Fields, body: Any) -> HttpReply:
        for pattern, name in _ROUTES:
            if match := re.fullmatch(pattern, line):
                try:
                    return HttpReply(200, _json(getattr(_Calls(self.place), name)(query, body, *match.groups())))
                except PipelinesApiError as error:
                    return HttpReply(error.status, _json(error.body))
        return HttpReply(404, b"Not Found", {"Content-Type": "text/plain"})

    def _body(self) -> Any:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + data)
            return message.get_payload(0).get_payload(decode=True)  # type: ignore[union-attr]
        return json.loads(data) if data else {}

    def _send(self, reply: HttpReply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
