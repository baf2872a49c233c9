"""``run`` and ``update``: learn."""

import typer

from anamnesis.cli.options import (
    ClusterFiles,
    Context,
    Files,
    Json,
    ModelName,
    Namespace,
    OptionalModel,
    SiteName,
    Who,
    Workers,
    examples,
)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=examples(
            "anamnesis run -f model.yaml",
            "anamnesis run -f models/ --model chest --json",
        )
    )(run)
    app.command(
        epilog=examples(
            "anamnesis update -f model.yaml --site guangzhou",
            "anamnesis update -n wards chest --site guangzhou",
        )
    )(update)


def run(files: Files, model: ModelName = "", workers: Workers = 2, who: Who = "", as_json: Json = False) -> None:
    """Learns what is new, until nothing is left.

    Every site that is not learned yet is learned, in the order the sites joined. Killed anywhere, the same command
    continues; called again, it says that there is nothing new.
    """
    from anamnesis.cli.describe import describe_sites
    from anamnesis.cli.output import note, show
    from anamnesis.cli.progress import reporter
    from anamnesis.local.context import login, select_all
    from anamnesis.local.learning import learn

    outcomes = []
    for selected in select_all(files, model):
        with reporter() as tell:
            outcome = learn(selected, tell, who or login(), workers)
        outcomes.append(outcome)
        if not outcome.updates:
            note(f"{selected.model.name}: nothing new to learn")
    show(outcomes, (line for outcome in outcomes for line in describe_sites(outcome.model, outcome.status)), as_json)


def update(
    name: OptionalModel = "",
    files: ClusterFiles = None,
    site: SiteName = "",
    model: ModelName = "",
    namespace: Namespace = "",
    context: Context = "",
    workers: Workers = 2,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Learns one site on top of the champion.

    Whatever the order says; this is also how data is tried again that was rejected or rolled back. On a cluster it
    asks the operator to, whatever trigger, schedule and window say.
    """
    from anamnesis.cli.output import show

    if not files:
        from anamnesis.cli.cluster.connection import connect
        from anamnesis.cli.cluster.requesting import ask

        asked = ask(connect(namespace, context), name or model, site)
        line = f"{asked.model}: asked for an update of {asked.site} (number {asked.counter}); see anamnesis status"
        return show(asked, [line], as_json)
    from anamnesis.cli.describe import describe_sites
    from anamnesis.cli.progress import reporter
    from anamnesis.local.context import login, select
    from anamnesis.local.learning import learn_one

    selected = select(files, name or model)
    with reporter() as tell:
        outcome = learn_one(selected, selected.site(site), tell, who or login(), workers)
    return show(outcome, describe_sites(outcome.model, outcome.status), as_json)
