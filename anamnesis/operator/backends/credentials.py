"""Which Secrets the steps of a run need, and as which environment variables."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from anamnesis.operator.addresses import SPLIT_KEY
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.api.site import Site
from anamnesis.operator.controllers.site.controller import source_environment
from anamnesis.records import InputError

Read = Callable[[str], Mapping[str, str] | None]
"""Gives the text of a Secret's keys by its name; none where it is not there or may not be read."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A Secret that a run gets.

    Attributes:
        secret: its name.
        where: the field that names it.
        variables: key of the Secret -> environment variable.
        values: environment variable -> its text.
    """

    secret: str
    where: str
    variables: Mapping[str, str]
    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Credential({self.secret!r}, {self.where!r}, {dict(self.variables)!r})"


def credentials(spec: ContinualModelSpec, sites: Iterable[Site], read: Read) -> tuple[Credential, ...]:
    """Returns what a run over ``sites`` gets: the registry's, the split key, and those of the sites' sources.

    Raises:
        InputError: a Secret or its key is not there, or two of them say different things of one variable.
    """
    found = []
    if reference := spec.registry.credentials_secret:
        text = _text(read, reference.name, "spec.registry.credentialsSecret")
        found.append(_credential(reference.name, "spec.registry.credentialsSecret", text, {key: key for key in text}))
    if spec.split_key and (key := spec.split_key.secret):
        text = _text(read, key.name, "spec.splitKey.secret")
        if key.key not in text:
            raise InputError(f"spec.splitKey.secret: Secret {key.name!r} has no key {key.key!r}")
        found.append(_credential(key.name, "spec.splitKey.secret", text, {key.key: SPLIT_KEY}))
    for site in sites:
        if reference := site.spec.source.credentials_secret:
            where = f"Site {site.metadata.name}: spec.source.credentialsSecret"
            text = _text(read, reference.name, where)
            named = {key: name for key in text for name in source_environment({key: text[key]})}
            found.append(_credential(reference.name, where, text, named))
    return _without_doubles(found)


def _text(read: Read, name: str, where: str) -> Mapping[str, str]:
    text = read(name)
    if text is None:
        raise InputError(f"{where}: there is no Secret {name!r} that may be read")
    return text


def _credential(secret: str, where: str, text: Mapping[str, str], named: Mapping[str, str]) -> Credential:
    variables = {key: name for key, name in sorted(named.items()) if name.isidentifier() and name.isupper()}
    return Credential(secret, where, variables, {name: text[key].strip() for key, name in variables.items()})


def _without_doubles(found: Iterable[Credential]) -> tuple[Credential, ...]:
    """A step has one environment: of two Secrets that say the same the first is taken, others are refused."""
    given: dict[str, tuple[str, str]] = {}
    kept = []
    for one in found:
        for name, value in one.values.items():
            where, before = given.setdefault(name, (one.where, value))
            if before != value:
                raise InputError(
                    f"{one.where} and {where} have different values of {name}, and a run has one environment: "
                    "give one account the right to both"
                )
        mine = {key: name for key, name in one.variables.items() if given[name][0] == one.where}
        if mine:
            kept.append(Credential(one.secret, one.where, mine, {name: one.values[name] for name in mine.values()}))
    return tuple(kept)
