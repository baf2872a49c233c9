"""CPU and memory of steps: those of a model over those of the operator's installation, each amount on its own."""

from collections.abc import Sequence

from anamnesis.operator.api.step_resources import ResourceAmounts, StepResourcesSpec, parse_quantity

Resources = Sequence[StepResourcesSpec]


def merge_resources(defaults: Resources, model_resources: Resources) -> tuple[StepResourcesSpec, ...]:
    """Returns the resources of each kind of step that one of the two lists.

    An amount of the model replaces the installation's. Where that puts a limit below a request, the amount of the
    installation follows that of the model: a limit is raised to the request, a request is lowered to the limit.
    """
    default_of = {resources.step: resources for resources in defaults}
    model_of = {resources.step: resources for resources in model_resources}
    return tuple(
        _merge_step(default_of.get(step), model_of.get(step)) for step in sorted(default_of.keys() | model_of.keys())
    )


def _merge_step(default: StepResourcesSpec | None, model: StepResourcesSpec | None) -> StepResourcesSpec:
    if default is None or model is None:
        (resources,) = (resources for resources in (default, model) if resources)
        return resources
    requests, limits = {}, {}
    for name in ResourceAmounts.model_fields:
        request, limit = _merge_amount(
            (getattr(default.requests, name), getattr(default.limits, name)),
            (getattr(model.requests, name), getattr(model.limits, name)),
        )
        requests[name], limits[name] = request, limit
    return StepResourcesSpec(step=model.step, requests=ResourceAmounts(**requests), limits=ResourceAmounts(**limits))


def _merge_amount(
    default: tuple[str | None, str | None], model: tuple[str | None, str | None]
) -> tuple[str | None, str | None]:
    """Returns request and limit of one resource; both arguments are such pairs."""
    request, limit = model[0] or default[0], model[1] or default[1]
    if request and limit and parse_quantity(limit) < parse_quantity(request):
        return (request, request) if model[0] else (limit, limit)
    return request, limit
