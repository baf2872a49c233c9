"""The component ``ingest_site``."""

from typing import Any, NamedTuple

from kfp import dsl

from anamnesis.components.image import component


@component
def ingest_site(
    request: str,
    model: str,
    site: str,
    workers: int,
    counts: dsl.Output[dsl.Metrics],
) -> NamedTuple("Outputs", [("snapshot", str), ("test_set", str), ("update_result", str), ("Output", bool)]):  # type: ignore[valid-type]
    """Makes an immutable snapshot of the data of a site, and freezes a test set the first time.

    Only digests leave this step; images stay in the site's own store. Equal files give an equal snapshot. An update
    of an operator ends here when the site has no new data or too few new patients.

    Args:
        request: The encoded `UpdateRequest`, as JSON.
        model: Name of the model; empty, or equal to the name in the request.
        site: Name of the site; empty, or equal to the name in the request.
        workers: Processes that read files in parallel.
        counts: Patients and studies in each split, and quarantined files.

    Returns:
        snapshot: Digest of the snapshot.
        test_set: Digest of the test set in force.
        update_result: Result for the operator, as JSON, still without a version; `null` without an operator.
        Output: Whether the update continues. Kubeflow's local runner can branch only on an output of this name.
    """
    import json

    from anamnesis.components.artifacts import finite_metrics
    from anamnesis.components.step_reporter import check_display_name, read_request, report_step

    with report_step("ingest_site", request) as step_reporter:
        from anamnesis.steps import begin_update

        update_request = read_request(request)
        check_display_name("model", model, update_request["model"])
        check_display_name("site", site, update_request["site"]["name"])
        result: dict[str, Any] = begin_update(update_request, workers, step_reporter.progress)
        counts.metadata.update(finite_metrics(result["counts"]))
        step_reporter.outputs = result
    return result["snapshot"], result["test_set"], json.dumps(result["update_result"]), result["learn"]
