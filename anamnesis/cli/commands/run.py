"""``run`` and ``update``: learn."""

import typer

from anamnesis.cli.options import Files, Json, ModelName, SiteName, Who, Workers, examples


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=examples(
            "anamnesis run -f model.yaml",
            "anamnesis run -f models/ --model chest --json",
        )
    )(run)
    app.command(epilog=examples("anamnesis update -f model.yaml --site guangzhou"))(update)


def run(files: Files, model: ModelName = "", workers: Workers = 2, who: Who = "", as_json: Json = False) -> None:
    """Learns what is new, until nothing is left.

    Every site that is not learned yet is learned, in the order the sites joined. Killed anywhere, the same command
    continues; called again, it says that there is nothing new.
    """
    from anamnesis.cli.context import login, select_all
    from anamnesis.cli.learning import learn
    from anamnesis.cli.output import note, show
    from anamnesis.cli.progress import reporter
    from anamnesis.cli.standing import standing

    outcomes = []
    for selected in select_all(files, model):
        with reporter() as tell:
            outcome = learn(selected, tell, who or login(), workers)
        outcomes.append(outcome)
        if not outcome.updates:
            note(f"{selected.model.name}: nothing new to learn")
    show(outcomes, (line for outcome in outcomes for line in standing(outcome.model, outcome.status)), as_json)


def update(
    files: Files, site: SiteName = "", model: ModelName = "", workers: Workers = 2, who: Who = "", as_json: Json = False
) -> None:
    """Learns one site on top of the champion.

    Whatever the order says; this is also how data is tried again that was rejected or rolled back.
    """
    from anamnesis.cli.context import login, select
    from anamnesis.cli.learning import learn_one
    from anamnesis.cli.output import show
    from anamnesis.cli.progress import reporter
    from anamnesis.cli.standing import standing

    selected = select(files, model)
    with reporter() as tell:
        outcome = learn_one(selected, selected.site(site), tell, who or login(), workers)
    show(outcome, standing(outcome.model, outcome.status), as_json)
