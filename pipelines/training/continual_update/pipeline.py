"""The pipeline of one continual update, for any method."""

from typing import Any

from kfp import dsl

from anamnesis.components.catalogue import load_trainer
from anamnesis.components.data_processing.ingest_site.component import ingest_site
from anamnesis.components.deployment.promote_model.component import promote_model
from anamnesis.components.evaluation.evaluate_forgetting.component import evaluate_forgetting
from anamnesis.components.evaluation.evaluate_saliency.component import evaluate_saliency


def continual_update(method: str) -> Any:
    """Returns the Kubeflow pipeline that learns one site with ``method``.

    Kubeflow caches no task: its cache keys do not cover the content of a bucket. The registry avoids repeated work.

    Raises:
        InputError: the method has no trainer.
    """
    train = load_trainer(method)

    @dsl.pipeline(name=f"continual-update-{method.replace('_', '-')}")  # type: ignore[untyped-decorator]
    def pipeline(request: str, model: str = "", site: str = "", workers: int = 2) -> None:
        """Learns the new images of a site without forgetting earlier sites; the gate decides on the new version.

        When there is nothing to learn, only the ingest runs.

        Args:
            request: The encoded `UpdateRequest`, as JSON.
            model: Name of the model for display; empty, or equal to the name in the request.
            site: Name of the site for display; empty, or equal to the name in the request.
            workers: Processes that read files in parallel.
        """
        ingestion = ingest_site(request=request, model=model, site=site, workers=workers)
        test_set = ingestion.outputs["test_set"]
        with dsl.If(ingestion.outputs["Output"] == True, name="learn"):  # noqa: E712  Kubeflow's own ==
            training = train(request=request, snapshot=ingestion.outputs["snapshot"], test_set=test_set)
            version = training.outputs["version"]
            forgetting = evaluate_forgetting(request=request, version=version, test_set=test_set)
            saliency = evaluate_saliency(request=request, version=version, test_set=test_set)
            promotion = promote_model(
                request=request,
                version=version,
                test_set=test_set,
                update_result=ingestion.outputs["update_result"],
            ).after(forgetting, saliency)
        for task in (ingestion, training, forgetting, saliency, promotion):
            task.set_caching_options(False)

    return pipeline
