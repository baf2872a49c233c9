"""Lists the images of a release: all images in the rendered chart and in the compiled pipelines."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def image_references() -> tuple[str, ...]:
    """Returns the images of all profiles of the chart and of all compiled pipelines, sorted.

    They have no digests, because the registry of a site assigns its own, and no registry of a profile.
    """
    from charts.golden import profiles, render_templates

    texts = [text for values in profiles().values() for text in render_templates({**values, "registry": ""}).values()]
    texts += [file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("pipelines/**/compiled/*.yaml"))]
    images = (image for text in texts for image in find_images(text))
    return tuple(sorted({image.partition("@")[0] for image in images}))


def find_images(text: str) -> Iterator[str]:
    """Yields the images in a YAML text, also in nested YAML texts; yields nothing for other texts."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        return
    for document in documents:
        if not isinstance(document, str):  # plain text is parsed as itself
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
