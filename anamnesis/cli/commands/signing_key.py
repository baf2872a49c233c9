"""``anamnesis key signing``: the key pairs that sign the records of a registry."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import JsonOption, format_examples


class Role(StrEnum):
    """The roles of signing keys."""

    OPERATOR = "Operator"
    RUN = "Run"
    LOCAL = "Local"


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis key signing --role Operator --output operator.key --secret anamnesis-signing -n anamnesis",
            "anamnesis key signing --role Run --output run.key --secret chest-run-key -n wards",
            "anamnesis key signing --role Local --output .anamnesis/chest/signing.key",
        )
    )(signing)


def signing(
    role: Annotated[Role, typer.Option(help="What the key signs: log entries, the records of runs, or both.")],
    output: Annotated[
        Path, typer.Option(help="File of the private key, readable only by you. An existing one is not replaced.")
    ],
    name: Annotated[str, typer.Option(help="Name of the public key in the model. Default: the role.")] = "",
    secret: Annotated[str, typer.Option(help="Name of the Secret in the printed kubectl command.")] = "NAME",
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", help="Namespace of the Secret in the printed kubectl command.")
    ] = "NAMESPACE",
    as_json: JsonOption = False,
) -> None:
    """Makes a key pair, and prints the public key and the command that makes the Secret.

    The private key is written to the file and shown nowhere. Where the file exists, its public key is printed.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.records import SignerRole
    from anamnesis.registry.opening import read_private_key
    from anamnesis.registry.signing import make_signer

    reference = output.resolve().as_uri()
    public_key = make_signer(SignerRole(role.value), read_private_key(reference, create=True)).public_key
    key_name = name or role.value.lower()
    result = {"name": key_name, "role": role.value, "key": public_key}
    lines = [
        "in spec.registry.signing.publicKeys of the model:",
        f"  - {{name: {key_name}, role: {role.value}, key: {public_key}}}",
    ]
    if role is not Role.LOCAL:
        lines += [
            "to make the Secret, run this, then keep the file where nobody else can read it:",
            f"  kubectl -n {namespace} create secret generic {secret} --from-file=key={output}",
        ]
    print_result(result, lines, as_json)
