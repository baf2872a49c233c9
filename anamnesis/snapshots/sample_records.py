"""The samples of a manifest as JSON text and back, one after the other: a site may have a million.

The JSON objects of all samples at once would take several times the memory of their records.
"""

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from anamnesis.records import canonical_json, decode, encode

if TYPE_CHECKING:
    from anamnesis.snapshots.manifest import ImageRecord, SampleRecord

_EMPTY_LIST = b'"samples":[]'
"""Within a text of JSON the quotation marks would have backslashes, so this is the field."""
_SAMPLE_FIELDS = {"id", "patient", "study", "split", "images"}
_NOTHING: Mapping[str, Any] = {}
ValueT = TypeVar("ValueT", bound=Hashable)


def encode_with_samples(document: Mapping[str, object], samples: "Iterable[SampleRecord]") -> bytes:
    """Returns the canonical JSON of a document, with the samples as its field ``samples``."""
    head, tail = canonical_json({**document, "samples": []}).split(_EMPTY_LIST)
    texts = b",".join(canonical_json(encode(sample)) for sample in samples)
    return b"".join((head, _EMPTY_LIST[:-1], texts, b"]", tail))


def decode_with_samples(text: str, sample_type: "type[SampleRecord]") -> dict[str, object]:
    """Returns a document whose field ``samples`` has records instead of JSON objects.

    Raises:
        InputError: a sample is not as expected.
    """
    return cast(dict[str, object], json.loads(text, object_hook=_RecordReader(sample_type).read))


class _RecordReader:
    """Reads samples; equal values of many samples are one object each, which saves a quarter of the memory."""

    def __init__(self, sample_type: "type[SampleRecord]") -> None:
        self._sample_type = sample_type
        self._values: dict[Hashable, Hashable] = {}

    def read(self, items: dict[str, object]) -> "dict[str, object] | SampleRecord":
        """Returns the record of the JSON object of a sample, and every other object as it is."""
        return self._read_sample(items) if items.keys() >= _SAMPLE_FIELDS else items

    def _read_sample(self, items: dict[str, object]) -> "SampleRecord":
        record = decode(self._sample_type, items, f"sample {items['id']}")
        return replace(
            record,
            images={self._share(name): self._share_values(image) for name, image in record.images.items()},
            target=self._share(record.target),
            covariates=record.covariates or _NOTHING,
            attributes={name: self._share(text) for name, text in record.attributes.items()} or _NOTHING,
        )

    def _share_values(self, image: "ImageRecord") -> "ImageRecord":
        return replace(
            image,
            dtype=self._share(image.dtype),
            shape=self._share(image.shape),
            spacing=self._share(image.spacing),
            axes=self._share(image.axes),
            affine=self._share(image.affine),
        )

    def _share(self, value: ValueT) -> ValueT:
        return cast(ValueT, self._values.setdefault(value, value))
