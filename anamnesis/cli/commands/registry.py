"""``anamnesis registry``: look at the registry of a model, check it, clean it, bring weights in."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import Files, Json, ModelName, OptionalFiles, SiteName, VersionArgument, Who, Why, examples

app = typer.Typer(help="Looks at a registry, checks and cleans it.", no_args_is_help=True, rich_markup_mode=None)

Url = Annotated[str, typer.Option("--registry", help="URL of the registry, instead of -f.")]


@app.command(
    "list",
    epilog=examples("anamnesis registry list -f model.yaml", "anamnesis registry list --registry s3://models/chest"),
)
def list_command(files: OptionalFiles = None, registry: Url = "", model: ModelName = "", as_json: Json = False) -> None:
    """Lists every version and what became of it."""
    from anamnesis.cli.output import show, table
    from anamnesis.local.versions import open_registry, summaries
    from anamnesis.records import short_digest

    found = summaries(open_registry(files, registry, model))
    rows = [[short_digest(each.version), each.site, each.method, short_digest(each.base), each.state] for each in found]
    show(found, table(["version", "site", "method", "base", "state"], rows), as_json)


@app.command(epilog=examples("anamnesis registry show -f model.yaml sha256:4f1c9a"))
def show(
    version: VersionArgument,
    files: OptionalFiles = None,
    registry: Url = "",
    model: ModelName = "",
    as_json: Json = False,
) -> None:
    """Shows one version.

    Its base, configuration, parts, evaluations, and every log entry about it.
    """
    from anamnesis.cli.describe import describe_version
    from anamnesis.cli.output import show as emit
    from anamnesis.local.versions import details, find_version, open_registry

    store = open_registry(files, registry, model)
    found = details(store, find_version(store, version))
    emit(found, describe_version(found), as_json)


@app.command(
    epilog=examples(
        "anamnesis registry verify -f model.yaml",
        "anamnesis registry verify --registry s3://models/chest --head 12:sha256:...",
    )
)
def verify(
    files: OptionalFiles = None,
    registry: Url = "",
    model: ModelName = "",
    head: Annotated[
        str,
        typer.Option(help="The log's head as you know it, <number>:<digest>; by default as this machine last saw it."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Checks the log and everything with a digest.

    The log's chain against its head; versions, blobs, evaluations, and what decisions name. Ends with 5 when something
    is damaged.
    """
    from anamnesis.cli.output import show as emit
    from anamnesis.local.versions import known_head, open_registry
    from anamnesis.records import IntegrityError
    from anamnesis.registry import Head, Log, verify_versions
    from anamnesis.registry import verify as verify_log

    store = open_registry(files, registry, model)
    expected = Head.parse(head) if head else known_head(files, model)
    problems = (*verify_log(store, expected), *verify_versions(store))
    against = f"against the head {expected}" if expected else "no head to compare with: a cut tail would not show"
    found = {"problems": problems, "expected": str(expected or ""), "head": "" if problems else str(Log(store).head())}
    emit(found, problems or [f"all is well ({against}); the head is {found['head']}"], as_json)
    if problems:
        raise IntegrityError(f"{store.url}: {len(problems)} problems ({against})")


@app.command(
    epilog=examples("anamnesis registry prune -f model.yaml", "anamnesis registry prune -f model.yaml --delete")
)
def prune(
    files: OptionalFiles = None,
    registry: Url = "",
    model: ModelName = "",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete; without it, only say what would be deleted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Says, or deletes, what nothing needs.

    Checkpoints of finished updates, blobs that no version names, what killed writers left behind.
    """
    from anamnesis.cli.output import show as emit
    from anamnesis.local.versions import open_registry
    from anamnesis.registry import prunable
    from anamnesis.registry import prune as prune_store

    store = open_registry(files, registry, model)
    chosen = prunable(store)
    gone = prune_store(store, chosen) if delete else chosen
    size = sum(info.size for info in gone)
    verb = "deleted" if delete else "would delete"
    lines = [*(f"{info.size:>12}  {info.key}" for info in gone), f"{verb} {len(gone)} objects, {size} bytes"]
    emit({"deleted": delete, "bytes": size, "objects": gone}, lines, as_json)


@app.command("import", epilog=examples("anamnesis registry import -f model.yaml --site guangzhou weights.safetensors"))
def import_command(
    weights: Annotated[Path, typer.Argument(help="safetensors file, or a state dict that torch.save wrote.")],
    files: Files,
    site: SiteName = "",
    model: ModelName = "",
    who: Who = "",
    why: Why = "imported weights",
    as_json: Json = False,
) -> None:
    """Makes existing weights the first version.

    It becomes the champion; its classes are those of the site's task, in their order. The
    next update measures what it knows, so that the gate can tell what is forgotten.
    """
    from anamnesis.cli.output import show as emit
    from anamnesis.local.context import login, select
    from anamnesis.operator.addresses import registry_url
    from anamnesis.operator.requests import configuration
    from anamnesis.records import short_digest
    from anamnesis.updates.weight_import import import_weights

    selected = select(files, model)
    learned_at = selected.site(site)
    how = configuration(selected.model.resource.spec)
    task = selected.config(learned_at).task
    url = registry_url(selected.model)
    digest = import_weights(url, weights, learned_at.name, task, how, who or login(), why)
    emit({"version": digest}, [f"champion is {short_digest(digest)}"], as_json)
