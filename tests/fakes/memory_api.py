"""The store of an API server in memory, with resource versions and conflicts."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from anamnesis.operator.runtime.cluster import ClusterDownError
from anamnesis.operator.runtime.kubernetes_api import JSON, KubernetesApi, resource_path
from anamnesis.records import ConflictError


class MemoryApi(KubernetesApi):
    """Documents by path.

    Attributes:
        down: whether every call raises ``ClusterDownError``.
        lists: path of a collection -> its items.
    """

    def __init__(self, documents: dict[str, dict[str, Any]] | None = None) -> None:
        self.documents = {} if documents is None else documents
        self.lists: dict[str, list[Mapping[str, Any]]] = {}
        self.down = False
        self._versions = count(1)

    def get(self, path: str, **query: str) -> Mapping[str, Any] | None:
        self._check_reachable()
        return {"items": self.lists[path]} if path in self.lists else self.documents.get(path)

    def list_pages(self, path: str, accept: str = "") -> Iterator[Mapping[str, Any]]:
        self._check_reachable()
        self.documents |= {
            f"{resource_path(item['kind'], item['metadata']['namespace'])}/{item['metadata']['name']}": item
            for item in self.lists[path]
        }
        for item in self.lists[path]:
            part = item if accept == JSON else {"metadata": item["metadata"]}
            yield {"items": [part], "metadata": {"resourceVersion": "1"}}

    def create(self, path: str, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        self._check_reachable()
        document_path = f"{path}/{document['metadata']['name']}"
        return None if document_path in self.documents else self._store(document_path, document)

    def replace(self, path: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check_reachable()
        if self.documents[path]["metadata"]["resourceVersion"] != document["metadata"]["resourceVersion"]:
            raise ConflictError("the resource version differs")
        return self._store(path, document)

    def _check_reachable(self) -> None:
        if self.down:
            raise ClusterDownError("the API server is unreachable")

    def _store(self, path: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        version = {"resourceVersion": f"{id(self.documents)}-{next(self._versions)}-{id(self)}"}
        self.documents[path] = {**document, "metadata": {**document["metadata"], **version}}
        return self.documents[path]
