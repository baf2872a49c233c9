"""Which images a release needs: every one that the rendered chart or a compiled pipeline names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def image_references() -> tuple[str, ...]:
    """Returns the images of all profiles of the chart and of all compiled pipelines, sorted.

    Without digests, which a site's own registry gives them, and without the registry that a profile replaces theirs by.
    """
    from charts.golden import profiles, render_templates

    texts = [text for values in profiles().values() for text in render_templates({**values, "registry": ""}).values()]
    texts += [file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("pipelines/**/compiled/*.yaml"))]
    images = (image for text in texts for image in find_images(text))
    return tuple(sorted({image.partition("@")[0] for image in images}))


def find_images(text: str) -> Iterator[str]:
    """Yields the images of a YAML text, also of texts in it that are YAML themselves; nothing of any other text."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        return
    for document in documents:
        yield from _walk(document)


def _walk(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            if name == "image" and isinstance(child, str):
                yield child
            else:
                yield from _walk(child)
    elif isinstance(value, list):
        for child in value:
            yield from _walk(child)
    elif isinstance(value, str) and "image:" in value:
        yield from find_images(value)
