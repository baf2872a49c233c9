"""Reads from the pods of runs why a step waits or failed; only where the operator has the right to read them."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.backends.pod_reasons import (
    JsonDocument,
    PodReason,
    describe_pod,
    describe_workflow,
    needs_events,
)
from anamnesis.operator.runtime.bounded_cache import BoundedCache
from anamnesis.operator.runtime.kubernetes_api import KubernetesApi
from anamnesis.records import AnamnesisError
from anamnesis.records.timestamps import Clock

log = logging.getLogger(__name__)
RUN_LABEL = "pipeline/runid"
"""Label that Kubeflow gives the workflow and the pods of a run."""
_WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows"
_POD_LIFETIME = timedelta(days=1)
"""Kubeflow deletes the pods of a run a day after its end."""


@dataclass(frozen=True, slots=True)
class PodReader:
    """Reads pods, events about pods, and workflows of one namespace. Every call is safe from any thread.

    Attributes:
        api: the API server.
        namespace: in which the pods of runs are.
        clock: returns the time, UTC.
        failures: id of a failed run -> the reason that its pods gave; empty for none.
    """

    api: KubernetesApi
    namespace: str
    clock: Clock
    failures: BoundedCache[str, str] = field(default_factory=BoundedCache)

    def explain(self, runs: Iterable[Run]) -> tuple[Run, ...]:
        """Returns the runs with ``waiting_reason`` or ``message``, where their pods say more than Kubeflow.

        Without the right, or while the API server does not answer, the runs stay as they are.
        """
        return tuple(self._explain_safely(run) for run in runs)

    def _explain_safely(self, run: Run) -> Run:
        try:
            if run.state in (RunState.PENDING, RunState.RUNNING):
                return self._explain_waiting(run)
            return self._explain_failed(run) if self._may_have_pods(run) else run
        except AnamnesisError as error:
            log.warning("the pods of run %s say nothing: %s", run.name, error)
            return run

    def _may_have_pods(self, run: Run) -> bool:
        ended_at = run.finished_at or run.created_at
        return run.state is RunState.FAILED and self.clock() - ended_at < _POD_LIFETIME

    def _explain_waiting(self, run: Run) -> Run:
        reason = next((reason for reason in self._reasons(run) if not reason.is_failure), None)
        if reason is None:
            return run
        if run.waiting_step and run.waiting_step != reason.step:
            return replace(run, waiting_reason=f"{reason.step}: {reason.text}")
        return replace(
            run,
            waiting_step=reason.step,
            waiting_since=run.waiting_since or reason.since,
            waiting_reason=reason.text,
        )

    def _explain_failed(self, run: Run) -> Run:
        message = self.failures.get(run.id)
        if message is None:
            reason = next((reason for reason in self._reasons(run) if reason.is_failure), None)
            message = f"{reason.step}: {reason.text}" if reason else ""
            self.failures.put(run.id, message)
        return replace(run, message=message) if message else run

    def _reasons(self, run: Run) -> Iterator[PodReason]:
        pods = sorted(self._list(f"/api/v1/namespaces/{self.namespace}/pods", run.id), key=_creation_time)
        for pod in pods:
            events = self._events(pod) if needs_events(pod) else ()
            if reason := describe_pod(pod, events):
                yield reason
        if not any(pod.get("status", {}).get("phase") == "Running" for pod in pods):  # pods may be refused
            for workflow in self._list(_WORKFLOWS.format(self.namespace), run.id):
                if reason := describe_workflow(workflow):
                    yield reason

    def _events(self, pod: JsonDocument) -> list[JsonDocument]:
        selector = f"involvedObject.kind=Pod,involvedObject.name={pod['metadata']['name']},type=Warning"
        listing = self.api.get(f"/api/v1/namespaces/{self.namespace}/events", fieldSelector=selector) or {}
        return list(listing.get("items", ()))

    def _list(self, path: str, run_id: str) -> list[JsonDocument]:
        listing = self.api.get(path, labelSelector=f"{RUN_LABEL}={run_id}") or {}
        return list(listing.get("items", ()))


def _creation_time(pod: JsonDocument) -> datetime:
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
