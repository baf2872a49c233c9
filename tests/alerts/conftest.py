"""The real API server, as the tests of the operator on it have it."""

from apiserver.conftest import make_namespace, namespace, run_on_cluster

__all__ = ["make_namespace", "namespace", "run_on_cluster"]
