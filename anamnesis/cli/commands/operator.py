"""``operator``: the controller process."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import ContextOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis operator --namespace hospital",
            "anamnesis operator --namespace north --namespace south --lease-namespace anamnesis",
        )
    )(operator)


def operator(
    namespace: Annotated[
        list[str] | None, typer.Option("-n", "--namespace", help="Watch this one; may be given several times.")
    ] = None,
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="Watch all; needs rights in the whole cluster.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of /healthz, /readyz and /metrics.")] = 8080,
    state: Annotated[
        Path, typer.Option(help="Folder for what the local back end keeps, and split keys that no Secret holds.")
    ] = Path("/var/lib/anamnesis"),
    pod_defaults: Annotated[
        Path | None,
        typer.Option(help="YAML file with what spec.backend.kubeflow of a model leaves out: image, queue, ..."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Resources brought in order at once.")] = 4,
    identity: Annotated[str, typer.Option(help="Of this replica, for people; by default the host's name.")] = "",
    lease_namespace: Annotated[
        str, typer.Option(help="Where the Lease lies that the leader holds; by default the first namespace.")
    ] = "",
    lease_duration: Annotated[
        int, typer.Option(min=3, help="Seconds until another replica may take over from a leader that fell silent.")
    ] = 15,
    resync: Annotated[int, typer.Option(min=1, help="Seconds between two rounds over everything.")] = 600,
    watch_silence: Annotated[int, typer.Option(min=1, help="Seconds of a silent watch until /healthz fails.")] = 180,
    patience: Annotated[int, typer.Option(min=1, help="Seconds of work on one resource until /healthz fails.")] = 600,
    grace: Annotated[int, typer.Option(min=0, help="Seconds for work that runs, when asked to end.")] = 30,
    kubeconfig: Annotated[str, typer.Option(help="By default a pod's own account, else KUBECONFIG.")] = "",
    context: ContextOption = "",
) -> None:
    """Runs the operator of a cluster.

    It watches models and sites and carries their updates out, until it is told to stop. Several replicas may run: one
    leads, the others are ready to. SIGTERM ends it gracefully. Logs are JSON lines on standard error. Exits with 1 when
    it lost its Lease: start it again.
    """
    import os
    import secrets
    import socket

    from anamnesis.cli.operator_process import start_operator
    from anamnesis.operator.runtime.options import LeaseTimes, OperatorOptions
    from anamnesis.records import InputError

    watched_namespaces = tuple(dict.fromkeys(namespace or ()))
    if bool(watched_namespaces) == all_namespaces:
        raise InputError("name one or more namespaces with --namespace, or give --all-namespaces")
    resolved_lease_namespace = lease_namespace or next(iter(watched_namespaces), "")
    if not resolved_lease_namespace:
        raise InputError("--all-namespaces: name a namespace for the Lease with --lease-namespace")
    options = OperatorOptions(
        identity=f"{identity or socket.gethostname()}-{secrets.token_hex(4)}",  # a restart is another process
        lease_namespace=resolved_lease_namespace,
        namespaces=watched_namespaces,
        port=port,
        worker_count=workers,
        lease_times=LeaseTimes(lease_duration, lease_duration * 2 / 3, lease_duration / 7.5),
        resync_interval=resync,
        watch_silence_limit=watch_silence,
        work_timeout=patience,
        grace_period=grace,
    )
    raise typer.Exit(start_operator(options, dict(os.environ), state, pod_defaults, kubeconfig, context))
