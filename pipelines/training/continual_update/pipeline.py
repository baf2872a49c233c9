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

    No task is cached by Kubeflow: its keys do not see what lies in a bucket, and the registry knows what was done.

    Raises:
        InputError: the method has no trainer.
    """
    train = load_trainer(method)

    @dsl.pipeline(name=f"continual-update-{method.replace('_', '-')}")  # type: ignore[untyped-decorator]
    def pipeline(request: str, model: str = "", site: str = "", workers: int = 2) -> None:
        """Learns a site's new images without forgetting the earlier sites; the gate decides whether it is used.

        Where there is nothing to learn, nothing but the ingest starts.

        Args:
            request: The encoded `UpdateRequest`, as JSON.
            model: Name of the model, for people; when given it must be the request's.
            site: Name of the site, for people; when given it must be the request's.
            workers: Processes that read files side by side.
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
