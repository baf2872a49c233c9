"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

FilesOption = Annotated[
    list[Path], typer.Option("-f", "--file", help="YAML file or folder with resources; repeatable.")
]
OptionalFilesOption = Annotated[
    list[Path] | None,
    typer.Option("-f", "--file", help="YAML file or folder with resources; repeatable."),
]
ClusterFilesOption = Annotated[
    list[Path] | None,
    typer.Option("-f", "--file", help="YAML file or folder: work on this machine. Default: work on the cluster."),
]
NamespaceOption = Annotated[
    str, typer.Option("-n", "--namespace", help="Namespace on the cluster. Default: that of the context.")
]
ContextOption = Annotated[str, typer.Option("--context", help="Context of the kubeconfig. Default: the current one.")]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a ContinualModel.")]
OptionalModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a ContinualModel.")]
ModelOption = Annotated[str, typer.Option("--model", help="Name of a ContinualModel; needed when there are several.")]
SiteOption = Annotated[str, typer.Option("--site", help="Name of a Site; needed when the model has several.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
AuthorOption = Annotated[str, typer.Option("--author", help="Your name in the log. Default: the login name.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation. The report is printed anyway.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="The reason; it is written to the log.")]
RequiredReasonOption = Annotated[str, typer.Option("--reason", help="The reason; it is written to the log.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that read files in parallel.")]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="Digest of a version, or a unique prefix.")]


VersionOption = Annotated[str, typer.Option("--version", help="Digest of a version, or a unique prefix.")]


class ClusterLocation(NamedTuple):
    """Namespace and context; empty values are read from the kubeconfig."""

    namespace: str
    context: str


def format_examples(*lines: str) -> str:
    """Returns the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
