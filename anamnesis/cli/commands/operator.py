"""``operator``: the process of the operator."""

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
        list[str] | None, typer.Option("-n", "--namespace", help="Namespace to watch; repeatable.")
    ] = None,
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="Watch all namespaces; needs a ClusterRole.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /healthz, /readyz and /metrics.")] = 8080,
    state: Annotated[
        Path, typer.Option(help="Folder of the local back end, and of split keys that are not in a Secret.")
    ] = Path("/var/lib/anamnesis"),
    pod_defaults: Annotated[
        Path | None,
        typer.Option(help="YAML file with defaults of spec.backend.kubeflow: image, queueName, ..."),
    ] = None,
    signing_key: Annotated[
        Path | None,
        typer.Option(help="File of the private key that signs log entries; see anamnesis key signing."),
    ] = None,
    read_pods: Annotated[
        str,
        typer.Option(help="Namespace of the runs: their pods show why a step waits. Needs the right to read pods."),
    ] = "",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Resources reconciled in parallel.")] = 4,
    identity: Annotated[str, typer.Option(help="Name of this replica in the Lease. Default: the host name.")] = "",
    lease_namespace: Annotated[
        str, typer.Option(help="Namespace of the leader's Lease. Default: the first watched namespace.")
    ] = "",
    lease_name: Annotated[str, typer.Option(help="Name of the leader's Lease.")] = "anamnesis-operator",
    address: Annotated[str, typer.Option(help="IP address of this replica, for the other replicas.")] = "",
    leader_metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port where every replica answers with the leader's metrics."),
    ] = None,
    lease_duration: Annotated[
        int,
        typer.Option(min=3, help="Seconds until another replica takes over from a leader that stopped."),
    ] = 15,
    detailed_metrics: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="MODELS",
            envvar="ANAMNESIS_DETAILED_METRICS",
            help="Up to so many models, every metric series is exported; beyond, those that the alerts need.",
        ),
    ] = 100,
    resync: Annotated[int, typer.Option(min=1, help="Seconds between two reconciles of every resource.")] = 600,
    watch_silence: Annotated[
        int, typer.Option(min=1, help="Seconds without a watch event until /healthz fails.")
    ] = 180,
    patience: Annotated[int, typer.Option(min=1, help="Seconds of one reconcile until /healthz fails.")] = 600,
    grace: Annotated[int, typer.Option(min=0, help="Seconds that running reconciles may take after SIGTERM.")] = 30,
    kubeconfig: Annotated[str, typer.Option(help="File. Default: the pod's service account, else KUBECONFIG.")] = "",
    context: ContextOption = "",
) -> None:
    """Runs the operator of a cluster until SIGTERM.

    It watches models and sites and carries out their updates. Several replicas may run: one holds the Lease and works,
    the others wait. Logs are JSON lines on standard error. Exits with 1 when it loses the Lease: start it again.
    """
    import os
    import secrets
    import socket

    from anamnesis.cli.operator_process import start_operator
    from anamnesis.operator.runtime.options import LeaseTimes, OperatorOptions
    from anamnesis.records import InputError

    watched_namespaces = tuple(dict.fromkeys(namespace or ()))
    if watched_namespaces and all_namespaces:
        raise InputError("--namespace and --all-namespaces exclude each other; remove one of them")
    if not watched_namespaces and not all_namespaces:
        raise InputError("no namespace given; use --namespace NAME, once for each namespace, or --all-namespaces")
    resolved_lease_namespace = lease_namespace or next(iter(watched_namespaces), "")
    if not resolved_lease_namespace:
        raise InputError(
            "--all-namespaces: also give the namespace of the operator's Lease, with --lease-namespace NAME"
        )
    if leader_metrics_port == port:
        raise InputError(f"--leader-metrics-port and --port are both {port}; choose two ports")
    options = OperatorOptions(
        identity=f"{identity or socket.gethostname()}-{secrets.token_hex(4)}",  # unique for each process
        lease_namespace=resolved_lease_namespace,
        lease_name=lease_name,
        address=address,
        leader_metrics_port=leader_metrics_port,
        namespaces=watched_namespaces,
        port=port,
        worker_count=workers,
        lease_times=LeaseTimes(lease_duration, lease_duration * 2 / 3, lease_duration / 7.5),
        resync_interval=resync,
        watch_silence_limit=watch_silence,
        work_timeout=patience,
        grace_period=grace,
        pods_namespace=read_pods,
    )
    exit_code = start_operator(
        options,
        dict(os.environ),
        state_folder=state,
        pod_defaults_file=pod_defaults,
        signing_key=signing_key,
        detailed_models=detailed_metrics,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(exit_code)
