"""``anamnesis registry``: list, verify and prune the registry of a model, and import weights."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import (
    AuthorOption,
    FilesOption,
    JsonOption,
    ModelOption,
    OptionalFilesOption,
    ReasonOption,
    SiteOption,
    VersionArgument,
    format_examples,
)

app = typer.Typer(
    help="Lists, verifies and prunes a registry; imports weights.", no_args_is_help=True, rich_markup_mode=None
)

RegistryOption = Annotated[str, typer.Option("--registry", help="URL of the registry, instead of -f.")]


@app.command(
    "list",
    epilog=format_examples(
        "anamnesis registry list -f model.yaml", "anamnesis registry list --registry s3://models/chest"
    ),
)
def list_command(
    files: OptionalFilesOption = None,
    registry: RegistryOption = "",
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Lists every version with its state."""
    from anamnesis.cli.output import format_table, print_result
    from anamnesis.local.versions import list_version_summaries, open_registry
    from anamnesis.records import short_digest

    version_summaries = list_version_summaries(open_registry(files, registry, model))
    rows = [
        [short_digest(summary.version), summary.site, summary.method, short_digest(summary.base), summary.state]
        for summary in version_summaries
    ]
    print_result(version_summaries, format_table(["version", "site", "method", "base", "state"], rows), as_json)


@app.command(epilog=format_examples("anamnesis registry show -f model.yaml sha256:4f1c9a"))
def show(
    version: VersionArgument,
    files: OptionalFilesOption = None,
    registry: RegistryOption = "",
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Shows one version.

    Its base, configuration, parts, evaluations, and its entries in the log.
    """
    from anamnesis.cli.describe import describe_version
    from anamnesis.cli.output import print_result
    from anamnesis.local.versions import find_version, open_registry, read_version_details

    store = open_registry(files, registry, model)
    version_details = read_version_details(store, find_version(store, version))
    print_result(version_details, describe_version(version_details), as_json)


@app.command(
    epilog=format_examples(
        "anamnesis registry verify -f model.yaml",
        "anamnesis registry verify --registry s3://models/chest --head 12:sha256:...",
        "anamnesis registry verify --registry s3://models/chest --public-key operator=KEY --public-key run=KEY",
    )
)
def verify(
    files: OptionalFilesOption = None,
    registry: RegistryOption = "",
    model: ModelOption = "",
    head: Annotated[
        str,
        typer.Option(help="Expected head of the log, <number>:<digest>. Default: the last head that this machine saw."),
    ] = "",
    public_key: Annotated[
        list[str] | None,
        typer.Option(
            "--public-key",
            help="ROLE=KEY: a key whose signatures count; repeatable. Role: operator, run or local. Default: the keys "
            "of spec.registry.signing, with -f.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verifies the log, every object with a digest, and the signatures.

    Checks the hash chain of the log against its head, and versions, blobs, evaluations and the objects that decisions
    name. With public keys, records without a valid signature are problems too. Exits with 5 when something is damaged.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.local.versions import last_seen_head, open_for_verification, parse_public_key
    from anamnesis.records import IntegrityError
    from anamnesis.registry import Log, LogPosition, verify_log, verify_objects
    from anamnesis.registry.registry_store import signing_of
    from anamnesis.registry.signature_verification import describe_signers

    store = open_for_verification(files, registry, model, [parse_public_key(text) for text in public_key or ()])
    expected_head = LogPosition.parse(head) if head else last_seen_head(files, model)
    problems = (*verify_log(store, expected_head), *verify_objects(store))
    comparison = (
        f"compared with the head {expected_head}"
        if expected_head
        else "no known head to compare with: give --head, or missing entries at the end are not detected"
    )
    result = {
        "problems": problems,
        "expected": str(expected_head or ""),
        "head": "" if problems else str(Log(store).head()),
        "signatures": "" if problems else describe_signers(Log(store).entries(), signing_of(store)),
    }
    lines = [f"no problems found ({comparison}); the head is {result['head']}", str(result["signatures"])]
    print_result(result, problems or lines, as_json)
    if problems:
        raise IntegrityError(
            f"{store.url}: the registry has {len(problems)} problems, listed above ({comparison}); stop its updates "
            "with spec.state: Suspended, then restore the registry from a backup"
        )


@app.command(
    epilog=format_examples("anamnesis registry prune -f model.yaml", "anamnesis registry prune -f model.yaml --delete")
)
def prune(
    files: OptionalFilesOption = None,
    registry: RegistryOption = "",
    model: ModelOption = "",
    delete: Annotated[bool, typer.Option("--delete", help="Delete the objects. Default: only list them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Lists or deletes objects that nothing needs.

    These are checkpoints of finished updates, blobs that no version names, and leftovers of interrupted writes.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.local.versions import open_registry
    from anamnesis.registry import PruneResult, find_prunable
    from anamnesis.registry import prune as delete_objects

    store = open_registry(files, registry, model)
    unneeded_objects = find_prunable(store)
    outcome = delete_objects(store, unneeded_objects) if delete else PruneResult(unneeded_objects)
    size = sum(object_info.size for object_info in outcome.deleted)
    lines = [
        *(f"{object_info.size:>12}  {object_info.key}" for object_info in outcome.deleted),
        f"{'deleted' if delete else 'would delete'} {len(outcome.deleted)} objects, {size} bytes",
    ]
    if outcome.kept_versions:
        lines.append(
            f"the bucket keeps {outcome.kept_versions} of them as old versions: their storage is free once its "
            "lifecycle rule for old versions, and its retention, let them go"
        )
    lines += [f"not deleted: {refusal}" for refusal in outcome.refusals]
    result = {
        "deleted": delete,
        "bytes": size,
        "objects": outcome.deleted,
        "keptVersions": outcome.kept_versions,
        "refusals": outcome.refusals,
    }
    print_result(result, lines, as_json)


@app.command(
    "import",
    epilog=format_examples(
        "anamnesis registry import -f model.yaml --site guangzhou weights.safetensors",
        "anamnesis registry import -f model.yaml --site guangzhou densenet121.pth --mapping torchvision",
    ),
)
def import_command(
    weights: Annotated[Path, typer.Argument(help="safetensors file, state dict written by torch.save, MONAI bundle.")],
    files: FilesOption,
    site: SiteOption = "",
    model: ModelOption = "",
    mapping: Annotated[
        str, typer.Option(help="Mapping of names, see anamnesis backbones list. Default: the names are the network's.")
    ] = "",
    author: AuthorOption = "",
    reason: ReasonOption = "imported weights",
    as_json: JsonOption = False,
) -> None:
    """Imports an existing classifier as the first version and champion, for any method.

    The file has the network and its linear head, whose rows must be the classes of the site's task, in their order. The
    next update first evaluates the imported weights, so that the gate can detect forgetting.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.local.context import login_name, select_model
    from anamnesis.operator.requests import located_configuration
    from anamnesis.records import short_digest
    from anamnesis.updates.weight_import import ImportRequest, import_weights

    selected_model = select_model(files, model)
    learned_site = selected_model.site(site)
    request = ImportRequest(
        weights,
        learned_site.name,
        task=selected_model.config(learned_site).task,
        configuration=located_configuration(selected_model.local_context("").model),
        mapping=mapping,
    )
    digest = import_weights(selected_model.establish_registry(), request, author or login_name(), reason)
    print_result({"version": digest}, [f"champion is {short_digest(digest)}"], as_json)


@app.command(epilog=format_examples('anamnesis registry adopt -f model.yaml --reason "renamed from thorax"'))
def adopt(
    files: FilesOption,
    reason: ReasonOption,
    model: ModelOption = "",
    author: AuthorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Declares that the registry belongs to this model from now on.

    Needed after the model was renamed, or moved to another cluster. Written to the log, with the reason.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.local.context import login_name, select_model

    selected_model = select_model(files, model)
    name = selected_model.adopt_registry(author or login_name(), reason)
    print_result({"model": name}, [f"the registry belongs to the model {name}"], as_json)
