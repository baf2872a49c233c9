"""The real API server, as the tests of the operator on it have it."""

from apiserver.conftest import cluster, make_namespace, namespace

__all__ = ["cluster", "make_namespace", "namespace"]
