"""The registry of methods: a decorator, and look-up by name. Importing a method's file registers it."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from anamnesis.methods.base import Method
from anamnesis.records import Configuration, InputError, decode

_METHODS: dict[str, type[Method[Any]]] = {}


def register(name: str, options: type) -> Callable[[type[Method[Any]]], type[Method[Any]]]:
    """Registers a method under a name, with its options class.

    Args:
        name: snake case; also the name of its file, its component and its page.
        options: a frozen data class with a default for every field.
    """

    def decorate(method_type: type[Method[Any]]) -> type[Method[Any]]:
        if name in _METHODS:
            raise ValueError(f"two methods are registered as {name!r}; give one of them another name")
        if not dataclasses.is_dataclass(options):
            raise TypeError(
                f"method {name!r}: its options class {options!r} is not a Python dataclass: this is a fault of the "
                "method's code; its author must add @dataclass to the class"
            )
        method_type.name, method_type.options_class = name, options
        _METHODS[name] = method_type
        return method_type

    return decorate


@cache
def _load_all() -> None:
    package = importlib.import_module("anamnesis.methods")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            importlib.import_module(f"anamnesis.methods.{module.name}")


def registered_methods(include_research: bool = True) -> Mapping[str, type[Method[Any]]]:
    """Returns all methods by name, sorted; without ``include_research``, only those that a resource may name."""
    _load_all()
    return {
        name: method_type
        for name, method_type in sorted(_METHODS.items())
        if include_research or not method_type.capabilities.research_only
    }


def method_class(name: str) -> type[Method[Any]]:
    """Returns the class of the method called ``name``.

    Raises:
        InputError: there is no such method; the message lists all.
    """
    methods_by_name = registered_methods()
    if name not in methods_by_name:
        raise InputError(f"method.name: expected one of {', '.join(methods_by_name)}, found {name!r}")
    return methods_by_name[name]


def build_method(configuration: Configuration) -> Method[Any]:
    """Returns a method at its random start.

    Raises:
        InputError: unknown method or network, or an invalid option; the message names the field.
    """
    method_type = method_class(configuration.method)
    options: object = decode(method_type.options_class, dict(configuration.options), f"method.{configuration.method}")
    return method_type(options, configuration.network, configuration.training.seed)
