"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

FilesOption = Annotated[
    list[Path], typer.Option("-f", "--file", help="YAML file or folder with resources; may be given several times.")
]
OptionalFilesOption = Annotated[
    list[Path] | None,
    typer.Option("-f", "--file", help="YAML file or folder with resources; may be given several times."),
]
ClusterFilesOption = Annotated[
    list[Path] | None,
    typer.Option("-f", "--file", help="Work on this machine with these resources; without it, on the cluster."),
]
NamespaceOption = Annotated[
    str, typer.Option("-n", "--namespace", help="On a cluster: where the model is. By default the context's.")
]
ContextOption = Annotated[
    str, typer.Option("--context", help="On a cluster: of the kubeconfig. By default the current one.")
]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a ContinualModel.")]
OptionalModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a ContinualModel.")]
ModelOption = Annotated[str, typer.Option("--model", help="Which ContinualModel, where the files hold several.")]
SiteOption = Annotated[str, typer.Option("--site", help="Which Site.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
AuthorOption = Annotated[
    str, typer.Option("--who", help="On whose behalf; stands in the log. By default the login name.")
]
ReasonOption = Annotated[str, typer.Option("--why", help="The reason in words; stands in the log.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that read files side by side.")]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="Digest of a version, or enough of its start.")]


class ClusterLocation(NamedTuple):
    """Where on which cluster; empty: as the kubeconfig says."""

    namespace: str
    context: str


def format_examples(*lines: str) -> str:
    """Returns the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
