"""A watch goes on where it was, and lists again where the API server has forgotten that."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from builders.waiting import eventually

from anamnesis.operator.runtime import watch
from anamnesis.operator.runtime.cluster import ClusterDownError
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi, ResourceVersionGoneError
from anamnesis.operator.runtime.watch import WatchThreads

Event = tuple[str, Mapping[str, Any]]


def site(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "wards", "resourceVersion": str(version)}}


class ScriptedApi(KubernetesApi):
    """Gives the watch of Sites one answer after another, and records from which version each watch starts."""

    def __init__(self, *answers: list[Event] | Exception) -> None:
        self.answers, self.versions, self.listings = list(answers), list[str](), 0

    def list_pages(self, path: str, accept: str = "") -> Iterator[Mapping[str, Any]]:
        if path.endswith("/sites"):
            self.listings += 1
            yield {"items": [site("ulm", 1)], "metadata": {"resourceVersion": "5", "continue": "more"}}
        yield {"items": None, "metadata": {"resourceVersion": "5"}}

    def watch(self, path: str, version: str) -> Iterator[Event]:
        if not path.endswith("/sites") or not self.answers:
            raise ClusterDownError("no more answers")
        self.versions.append(version)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield from answer


def test_a_watch_continues_after_an_outage_and_lists_again_where_its_version_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "RESTART_SECONDS", 0.01)
    events: list[tuple[str, bool, str]] = []
    api = ScriptedApi(
        [("ADDED", site("bonn", 6)), ("BOOKMARK", {"metadata": {"resourceVersion": "9"}})],
        ClusterDownError("the connection broke"),
        [("DELETED", site("bonn", 12))],
        ResourceVersionGoneError("gone"),
        [],
    )
    threads = WatchThreads(
        api, ("wards",), lambda kind, exists, item: events.append((kind, exists, item["metadata"]["name"]))
    )
    threads.start()
    eventually(lambda: not api.answers)
    threads.stop()
    assert api.versions == ["5", "9", "9", "12", "5"]
    assert api.listings == 2
    assert events == [("Site", True, "ulm"), ("Site", True, "bonn"), ("Site", False, "bonn"), ("Site", True, "ulm")]
