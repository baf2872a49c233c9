"""The Secrets that the steps of a run receive as environment variables."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from anamnesis.operator.addresses import RUN_KEY_VARIABLE, SPLIT_KEY_VARIABLE, site_key_variable
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.api.signing import SigningSpec
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.split_key import SecretKey
from anamnesis.operator.source_credentials import source_environment
from anamnesis.records import InputError, SignerRole
from anamnesis.registry.signing import make_signer
from anamnesis.storage.environment_variables import clean_value

_RUN_KEY = "key"
ReadSecret = Callable[[str], Mapping[str, str] | None]
"""Secret name -> its keys and values; none if the Secret is missing or not readable."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A Secret that a run receives.

    Attributes:
        secret: name of the Secret.
        field_path: the field that names the Secret.
        variables: key of the Secret -> environment variable.
        values: environment variable -> value.
    """

    secret: str
    field_path: str
    variables: Mapping[str, str]
    values: Mapping[str, str] = field(repr=False)


def collect_credentials(
    spec: ContinualModelSpec, sites: Iterable[Site], read_secret: ReadSecret
) -> tuple[Credential, ...]:
    """Returns the credentials of a run over ``sites``: of the registry, the split keys and the sites' sources.

    A run of sites that have their own split keys does not receive the network key. Without sites, these are the
    credentials of the model alone.

    Raises:
        InputError: a Secret or its key is missing, or two Secrets have different values of one variable.
    """
    all_credentials = []
    if reference := spec.registry.credentials_secret:
        secret_data = _read_secret_data(read_secret, reference.name, "spec.registry.credentialsSecret")
        all_credentials.append(
            _make_credential(
                reference.name,
                "spec.registry.credentialsSecret",
                secret_data,
                {secret_key: secret_key for secret_key in secret_data},
            )
        )
    run_sites = list(sites)
    needs_network_key = not run_sites or not all(site.spec.split_key for site in run_sites)
    if spec.split_key and spec.split_key.secret and needs_network_key:
        all_credentials.append(
            _split_key_credential(spec.split_key.secret, "spec.splitKey.secret", SPLIT_KEY_VARIABLE, read_secret)
        )
    if spec.registry.signing:
        all_credentials.append(_run_key_credential(spec.registry.signing, read_secret))
    for site in run_sites:
        if site.spec.split_key and (own_secret := site.spec.split_key.secret):
            field_path, variable = (
                f"Site {site.metadata.name}: spec.splitKey.secret",
                site_key_variable(site.metadata.name),
            )
            all_credentials.append(_split_key_credential(own_secret, field_path, variable, read_secret))
        if reference := site.spec.source.credentials_secret:
            field_path = f"Site {site.metadata.name}: spec.source.credentialsSecret"
            secret_data = _read_secret_data(read_secret, reference.name, field_path)
            variable_by_key = {
                secret_key: name
                for secret_key in secret_data
                for name in source_environment({secret_key: secret_data[secret_key]})
            }
            all_credentials.append(_make_credential(reference.name, field_path, secret_data, variable_by_key))
    return _without_duplicates(all_credentials)


def _run_key_credential(signing: SigningSpec, read_secret: ReadSecret) -> Credential:
    """Returns the key with which a run signs its records; refuses a key whose signatures would not count."""
    field_path = "spec.registry.signing.runKeySecret"
    if signing.run_key_secret is None:
        raise InputError(f"{field_path}: missing; name the Secret with the private key of runs")
    name = signing.run_key_secret.name
    secret_data = _read_secret_data(read_secret, name, field_path)
    if _RUN_KEY not in secret_data:
        raise InputError(f"{field_path}: the Secret {name!r} has no key {_RUN_KEY!r}; add it: anamnesis key signing")
    try:
        signer = make_signer(SignerRole.RUN, secret_data[_RUN_KEY])
    except InputError as error:
        raise InputError(f"{field_path}: the Secret {name!r}: {error}") from None
    if signer.public_key not in [key.key for key in signing.public_keys if key.role == "Run"]:
        raise InputError(
            f"{field_path}: the private key of the Secret {name!r} does not belong to a public key of the role Run; "
            f"add it to spec.registry.signing.publicKeys: name: runs, role: Run, key: {signer.public_key}"
        )
    return _make_credential(name, field_path, secret_data, {_RUN_KEY: RUN_KEY_VARIABLE})


def _split_key_credential(secret: SecretKey, field_path: str, variable: str, read_secret: ReadSecret) -> Credential:
    secret_data = _read_secret_data(read_secret, secret.name, field_path)
    if secret.key not in secret_data:
        raise InputError(
            f"{field_path}: the Secret {secret.name!r} has no key {secret.key!r}; add the key, or set {field_path}.key"
        )
    return _make_credential(secret.name, field_path, secret_data, {secret.key: variable})


def _read_secret_data(read_secret: ReadSecret, name: str, field_path: str) -> Mapping[str, str]:
    secret_data = read_secret(name)
    if secret_data is None:
        raise InputError(
            f"{field_path}: the Secret {name!r} does not exist or is not readable; "
            "create the Secret in the model's namespace, or give the operator the right to read it"
        )
    return secret_data


def _make_credential(
    secret: str, field_path: str, secret_data: Mapping[str, str], variable_by_key: Mapping[str, str]
) -> Credential:
    variables = {key: name for key, name in sorted(variable_by_key.items()) if name.isidentifier() and name.isupper()}
    return Credential(
        secret, field_path, variables, {name: clean_value(name, secret_data[key]) for key, name in variables.items()}
    )


def _without_duplicates(credentials: Iterable[Credential]) -> tuple[Credential, ...]:
    """Drops equal values of a later Secret; refuses different values of one variable."""
    first_values: dict[str, tuple[str, str]] = {}
    unique_credentials = []
    for credential in credentials:
        for name, value in credential.values.items():
            first_field_path, first_value = first_values.setdefault(name, (credential.field_path, value))
            if first_value != value:
                raise InputError(
                    f"{credential.field_path} and {first_field_path} name Secrets with different values of {name}; "
                    "a run has one value of each variable: put one account with access to both into both Secrets"
                )
        new_variables = {
            key: name for key, name in credential.variables.items() if first_values[name][0] == credential.field_path
        }
        if new_variables:
            unique_credentials.append(
                Credential(
                    credential.secret,
                    credential.field_path,
                    new_variables,
                    {name: credential.values[name] for name in new_variables.values()},
                )
            )
    return tuple(unique_credentials)
