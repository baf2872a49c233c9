"""Reads the versions in a registry for the commands that show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anamnesis.local.context import select_model
from anamnesis.operator.addresses import registry_url
from anamnesis.operator.requests import public_keys as model_public_keys
from anamnesis.records import (
    Evaluation,
    InputError,
    LogEntry,
    PublicKey,
    RefusedError,
    SignerRole,
    SigningSettings,
    Version,
)
from anamnesis.records.signature import decode_public_key
from anamnesis.registry import (
    History,
    Log,
    LogPosition,
    build_history,
    describe_withdrawal,
    list_versions,
    read_evaluations,
    read_version,
)
from anamnesis.registry.opening import sign_with
from anamnesis.storage import Store, open_store


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """One line about a version."""

    version: str
    site: str
    method: str
    base: str | None
    state: str


@dataclass(frozen=True, slots=True)
class VersionDetails:
    """A version with its evaluations and log entries."""

    digest: str
    state: str
    version: Version
    evaluations: tuple[Evaluation, ...]
    entries: tuple[LogEntry, ...]


def open_registry(files: Sequence[Path] | None, url: str, model: str) -> Store:
    """Returns the registry that the options name.

    Raises:
        InputError: the options name no registry, or there is nothing at its URL.
    """
    if not url and not files:
        raise InputError("no registry given: use -f model.yaml or --registry URL")
    return _require_objects(open_store(url) if url else select_model(files or (), model).registry)


def _require_objects(store: Store) -> Store:
    if next(iter(store.list()), None) is None:
        raise InputError(
            f"{store.url}: there is no registry here; check the URL. The first update of a model makes its registry"
        )
    return store


def open_for_verification(
    files: Sequence[Path] | None, url: str, model: str, public_keys: Sequence[PublicKey]
) -> Store:
    """Returns the registry that the options name, with the keys that verify it: those given, else the model's.

    It may be damaged or belong to another model: nothing of it is checked here.
    """
    if not url and not files:
        raise InputError("no registry given: use -f model.yaml or --registry URL")
    loaded_model = None if url else select_model(files or (), model).model
    keys = tuple(public_keys) or (model_public_keys(loaded_model.resource.spec) if loaded_model else ())
    store = _require_objects(open_store(registry_url(loaded_model) if loaded_model else url))
    return sign_with(store, SigningSettings(public_keys=keys))


def parse_public_key(text: str) -> PublicKey:
    """Reads ``<role>=<key>``.

    Raises:
        InputError: ``text`` has another form.
    """
    role_name, _, key = text.partition("=")
    roles = {role.value.lower(): role for role in SignerRole}
    if role_name.lower() not in roles:
        raise InputError(f"--public-key {text!r}: expected ROLE=KEY with the role {', '.join(roles)}")
    decode_public_key(key)
    return PublicKey(role_name.lower(), roles[role_name.lower()], key)


def last_seen_head(files: Sequence[Path] | None, model: str) -> LogPosition | None:
    """Returns the log's head as last seen on this machine, or none."""
    if not files:
        return None
    selected_model = select_model(files, model)
    return selected_model.state.head(open_store(registry_url(selected_model.model)).url)


def find_version(store: Store, version_reference: str) -> str:
    """Returns the one digest that begins with ``version_reference``; ``champion`` means the champion's.

    Raises:
        InputError: no digest or several begin so.
        RefusedError: a person withdrew the champion.
    """
    if version_reference == "champion":
        history = Log(store).history()
        champion = history.champion
        if history.withdrawal:
            raise RefusedError(
                f"{store.url}: {describe_withdrawal(history.withdrawal)}, because: {history.withdrawal.reason}. "
                "Do not use any version of this model; to use an earlier one, run: anamnesis rollback"
            )
        if champion is None:
            raise InputError(
                f"{store.url}: there is no champion, because no version was promoted yet; give the digest of a version"
            )
        return champion
    digest_prefix = version_reference if version_reference.startswith("sha256:") else f"sha256:{version_reference}"
    matching_digests = [digest for digest in list_versions(store) if digest.startswith(digest_prefix)]
    if not matching_digests:
        raise InputError(
            f"version {version_reference!r}: no version in {store.url} begins with these digits; to see all versions, "
            f"run: anamnesis registry list --registry {store.url}"
        )
    if len(matching_digests) > 1:
        raise InputError(
            f"version {version_reference!r}: {len(matching_digests)} versions in {store.url} begin with these digits; "
            "give more digits"
        )
    if len(version_reference) < 4:
        raise InputError(f"version {version_reference!r}: give at least 4 digits of the digest")
    return matching_digests[0]


def list_version_summaries(store: Store) -> list[VersionSummary]:
    """Returns all versions: the promoted ones in the order of their promotion, then the others."""
    history = Log(store).history()
    digests = [
        *history.promoted_versions,
        *(digest for digest in list_versions(store) if digest not in history.promoted_versions),
    ]
    version_summaries = []
    for digest in digests:
        version = read_version(store, digest)
        method = str(version.configuration.get("method", "imported"))
        version_summaries.append(
            VersionSummary(digest, version.site, method=method, base=version.base, state=version_state(digest, history))
        )
    return version_summaries


def version_state(digest: str, history: History) -> str:
    """Returns the state of a version, in one word or two."""
    if digest == history.champion:
        return "champion"
    if history.withdrawal and digest == history.withdrawal.subject:
        return "withdrawn"
    if digest in history.promoted_versions:
        return "rolled back" if digest in history.rolled_back_versions else "earlier champion"
    if digest in history.rejections:
        return "rejected"
    return "superseded" if digest in history.superseding_entries else "candidate"


def read_version_details(store: Store, digest: str) -> VersionDetails:
    """Returns a version with its evaluations and log entries."""
    entries = Log(store).entries()
    version = read_version(store, digest)
    version_entries = tuple(entry for entry in entries if entry.subject == digest)
    return VersionDetails(
        digest,
        version_state(digest, build_history(entries)),
        version=version,
        evaluations=read_evaluations(store, digest),
        entries=version_entries,
    )
