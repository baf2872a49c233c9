"""The work of every trainer; the component of a method only adds the name of the method."""

from pathlib import Path
from typing import Any

from anamnesis.components.artifacts import finite_metrics
from anamnesis.components.step_reporter import read_request, report_step
from anamnesis.records import InputError, canonical_json


def train(method: str, request: str, *, snapshot: str, test_set: str, model: Any, metrics: Any) -> str:
    """Trains a new version and describes it to Kubeflow. Weights go to the registry, never into the artifact.

    Args:
        method: name of the method.
        request: the encoded ``UpdateRequest``, as JSON.
        snapshot: digest of the new site's snapshot.
        test_set: digest of the new site's test set.
        model: Kubeflow's ``Model`` artifact. Its URI is not changed: the launcher refuses a URI outside its bucket.
        metrics: Kubeflow's ``Metrics`` artifact.

    Returns:
        The version's digest.

    Raises:
        InputError: the request names another method.
    """
    with report_step(f"train_{method}", request) as step_reporter:
        from anamnesis import steps

        update_request = read_request(request)
        if (requested_method := update_request["configuration"]["method"]) != method:
            raise InputError(
                f"pipeline parameter request: configuration.method is {requested_method!r}, but this pipeline trains "
                f"with {method!r}; run the pipeline of {requested_method!r}"
            )
        result: dict[str, Any] = steps.train(update_request, snapshot, test_set, step_reporter.progress)
        version_document = {"version": result["version"], "registry": update_request["registry"], "method": method}
        model.metadata.update(version_document, input=result["input"], reused=result["reused"])
        Path(model.path).write_bytes(canonical_json(version_document))
        metrics.metadata.update(finite_metrics({name: result[name] for name in ("seconds", "stored_bytes")}))
        step_reporter.outputs = result
    return str(result["version"])
