"""``run``: learn every site that is not learned yet."""

import typer

from anamnesis.cli.options import (
    AuthorOption,
    FilesOption,
    JsonOption,
    ModelOption,
    WorkersOption,
    format_examples,
)
from anamnesis.records.errors import AnamnesisError


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(epilog=format_examples("anamnesis run -f model.yaml", "anamnesis run -f models/ --model chest --json"))(
        run
    )


def run(
    files: FilesOption,
    model: ModelOption = "",
    workers: WorkersOption = 2,
    author: AuthorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Learns every site with new data, one after the other.

    Sites are learned in the order in which they joined. After an interruption the same command continues. When all
    data is learned it changes nothing. A site or a model that fails does not stop the others; the command then ends
    with the errors and a failing exit code.
    """
    from anamnesis.cli.describe import describe_model_status
    from anamnesis.cli.failures import combine_failures
    from anamnesis.cli.output import print_note, print_result
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import login_name, select_models
    from anamnesis.local.learning import learn

    results, failures = [], {}
    for selected_model in select_models(files, model):
        name = selected_model.model.name
        try:
            with open_reporter() as progress_reporter:
                result = learn(selected_model, progress_reporter, author or login_name(), workers)
        except AnamnesisError as error:
            failures[f"ContinualModel {name}"] = error
            continue
        results.append(result)
        failures |= {f"ContinualModel {name}, Site {site}": error for site, error in result.failures.items()}
        if not result.updates and not result.failures:
            print_note(f"{name}: nothing new to learn")
    documents = [
        {
            "model": result.model,
            "updates": result.updates,
            "status": result.status,
            "failures": {site: str(error) for site, error in result.failures.items()},
        }
        for result in results
    ]
    print_result(
        documents, (line for result in results for line in describe_model_status(result.model, result.status)), as_json
    )
    if failures:
        raise combine_failures(failures)
