"""The model that a command names, with its sites, registry and state on this machine."""

import getpass
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anamnesis.local.default_network import DefaultNetwork, choose_default_network, with_network
from anamnesis.local.signing import adopt_registry, establish_registry, open_model_registry
from anamnesis.local.state import LocalState
from anamnesis.local.updates import LocalContext
from anamnesis.operator.addresses import split_key_reference
from anamnesis.operator.api import ContinualModel, LoadedResource, ResourceSet, Site, load_resources
from anamnesis.operator.requests import site_config
from anamnesis.operator.spec_checks import find_problems
from anamnesis.records import InputError, SiteConfig
from anamnesis.registry import Log
from anamnesis.storage import Store


@dataclass(frozen=True, slots=True)
class SelectedModel:
    """A model with its sites.

    Attributes:
        model: the ContinualModel.
        resources: the resources of the files.
        state: its files on this machine.
    """

    model: LoadedResource[ContinualModel]
    resources: ResourceSet
    state: LocalState

    @property
    def registry(self) -> Store:
        """The model's registry. Reading and decisions: where it may be empty, use ``establish_registry``."""
        return open_model_registry(self.model, self.resources, self.state)

    def establish_registry(self) -> Store:
        """Returns the registry; gives it the identity of this model where it is empty."""
        return establish_registry(self.model, self.resources, self.state)

    def check_registry(self) -> None:
        """Refuses the registry of another model."""
        open_model_registry(self.model, self.resources, self.state)

    def remember_head(self) -> None:
        """Remembers the end of the log on this machine, so that an entry that somebody removes is missed."""
        registry = self.registry
        self.state.write_head(Log(registry).head(), registry.url)

    def adopt_registry(self, author: str, reason: str) -> str:
        """Declares that the registry belongs to this model; returns the model's name there."""
        return adopt_registry(self.model, self.resources, self.state, author, reason)

    @property
    def network_key(self) -> str:
        """Where the network key is."""
        return split_key_reference(self.model, None, self.state.split_key)

    def split_key(self, site: LoadedResource[Site]) -> str:
        """Returns where the split key of a site is."""
        return split_key_reference(self.model, site, self.state.split_key)

    @property
    def default_network(self) -> DefaultNetwork | None:
        """The network that this machine chooses; none where the model names one."""
        if "network" in self.model.resource.spec.model_fields_set:
            return None
        return choose_default_network(self.registry)

    def local_context(self, author: str) -> LocalContext:
        """Returns the context of local mode: the model has the network that it names, or else this machine's choice."""
        default = self.default_network
        model = with_network(self.model, default.network) if default else self.model
        return LocalContext(model, self.resources, state=self.state, author=author)

    def site(self, name: str) -> LoadedResource[Site]:
        """Returns one of the model's sites; without a name, the only one.

        Raises:
            InputError: the model has no such site, or it has several and ``name`` is empty.
        """
        sites = {site.name: site for site in self.resources.sites_of(self.model)}
        return sites[resolve_name("--site", sites, name)]

    def config(self, site: LoadedResource[Site]) -> SiteConfig:
        """Returns the settings of a site for ingestion."""
        return site_config(site)


def select_model(files: Sequence[Path], name: str = "") -> SelectedModel:
    """Returns the model called ``name``; without a name, the only one.

    Raises:
        InputError: the files are not valid, have no such model, or have several models and ``name`` is empty.
    """
    resources = load_resources(*files)
    if not name and len(resources.models) == 1:
        name = next(iter(resources.models))
    if not resources.models:
        raise InputError(_no_model_message(files))
    if not name:
        raise InputError(f"the files of -f have several models; use --model with one of {', '.join(resources.models)}")
    if name not in resources.models:
        raise InputError(f"--model: expected one of {', '.join(resources.models)}, found {name!r}")
    model = resources.models[name]
    _check_model(model, resources)
    return SelectedModel(model, resources, LocalState.for_model(model))


def select_models(files: Sequence[Path], name: str = "") -> tuple[SelectedModel, ...]:
    """Returns the model called ``name``; without a name, every model of the files.

    Raises:
        InputError: see ``select_model``; or the files have no model.
    """
    if name:
        return (select_model(files, name),)
    resources = load_resources(*files)
    if not resources.models:
        raise InputError(_no_model_message(files))
    for model in resources.models.values():
        _check_model(model, resources)
    return tuple(SelectedModel(model, resources, LocalState.for_model(model)) for model in resources.models.values())


def _check_model(model: LoadedResource[ContinualModel], resources: ResourceSet) -> None:
    """Refuses a model with a field that means nothing, or that contradicts one of its Sites.

    Raises:
        InputError: one line for each field.
    """
    sites = {site.name: site for site in resources.sites_of(model)}
    if problems := find_problems(model, sites):
        raise InputError("\n".join(f"{model.file}: ContinualModel {model.name}: {problem}" for problem in problems))


def _no_model_message(files: Sequence[Path]) -> str:
    paths = ", ".join(map(str, files))
    return f"{paths}: no ContinualModel in these files; add the file of the model with -f"


def login_name() -> str:
    """Returns the login name of the user of this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in /etc/passwd
        return "unknown"


def resolve_name(option: str, choices: Iterable[str], name: str) -> str:
    """Returns the choice that an option names; without a name, the only choice.

    Raises:
        InputError: there is no such choice, or there are several and ``name`` is empty.
    """
    names = list(choices)
    if not name and len(names) == 1:
        return names[0]
    if not name:
        raise InputError(f"{option}: missing; give one of {', '.join(names)}")
    if name not in names:
        raise InputError(f"{option}: expected one of {', '.join(names)}, found {name!r}")
    return name
