"""Bounded types of text: the pattern of each, and its description for people."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from anamnesis.operator.api.cel import cel_rules

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
TEXT_PATTERN = r"[^\s]"
PATH_SAFE_NAME_PATTERN = r"^[^/\s]([^/]*[^/\s])?$"
DURATION_PATTERN = r"^[0-9]{1,6}(s|m|h|d)$"
POSITIVE_DURATION_PATTERN = r"^[1-9][0-9]{0,5}(s|m|h|d)$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
URL_PATTERN = r"^(s3://[^/@]+(/.*)?|file:///.*|[^:]+)$"
S3_URL_PATTERN = r"^s3://[^/@]+(/.*)?$"
WEB_ADDRESS_PATTERN = r"^https?://[^\s/?#@]+(/[^\s]*)?$"
MODALITY_PATTERN = r"^[A-Z0-9_]{1,16}$"
BODY_PART_PATTERN = r"^[A-Z0-9]([A-Z0-9 _]*[A-Z0-9])?$"
METHOD_PATTERN = r"^[A-Z][A-Za-z0-9]{0,62}$"
REASON_PATTERN = r"^[A-Z][A-Za-z0-9]{0,63}$"
TIME_ZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+/-]*$"
TIME_OF_DAY_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
ENVIRONMENT_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
SECRET_KEY_PATTERN = r"^[-._a-zA-Z0-9]+$"
MEMORY_PATTERN = r"^[1-9][0-9]{0,5}(Mi|Gi)$"
_LABEL_PART = r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
LABEL_NAME_PATTERN = rf"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_LABEL_PART}$"
OPTIONAL_LABEL_NAME_PATTERN = rf"^(([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_LABEL_PART})?$"
LABEL_VALUE_PATTERN = rf"^({_LABEL_PART})?$"
ABSOLUTE_PATH_PATTERN = r"^/.+$"
DECIMAL_PATTERN = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$"
SALIENCY_FLOOR_PATTERN = rf"^(SameClass|{DECIMAL_PATTERN[1:-1]})$"
PUBLIC_KEY_PATTERN = r"^[A-Za-z0-9+/]{43}=$"
NUMBER_PATTERN = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"


def _cron_field(value: str) -> str:
    item = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?"
    return rf"{item}(,{item})*"


CRON_PATTERN = "(?i)^{}$".format(
    " ".join(
        _cron_field(value)
        for value in (
            "[0-5]?[0-9]",
            "[01]?[0-9]|2[0-3]",
            "0?[1-9]|[12][0-9]|3[01]",
            "0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC",
            "[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT",
        )
    )
)

PATTERN_DESCRIPTIONS: Mapping[str, str] = {
    NAME_PATTERN: "lower-case letters, digits and dashes",
    TEXT_PATTERN: "text that is not blank",
    PATH_SAFE_NAME_PATTERN: "text without a slash, and without spaces at its ends",
    DURATION_PATTERN: "a number and s, m, h or d, like 30m",
    POSITIVE_DURATION_PATTERN: "a number above 0 and s, m, h or d, like 30m",
    DIGEST_PATTERN: "sha256: and 64 hex digits",
    URL_PATTERN: "s3://bucket/prefix, file:///absolute/path or a relative path",
    S3_URL_PATTERN: "an address like s3://bucket/prefix",
    WEB_ADDRESS_PATTERN: "an address with http:// or https://, without user and password",
    MODALITY_PATTERN: "a DICOM modality code, like DX or CT",
    BODY_PART_PATTERN: "a DICOM value of BodyPartExamined in capitals, like CHEST",
    METHOD_PATTERN: "the name of a method, like EWCPrototype",
    REASON_PATTERN: "one word in CamelCase",
    TIME_ZONE_PATTERN: "a time zone, like Europe/Rome",
    TIME_OF_DAY_PATTERN: "a time of day from 00:00 to 23:59, in quotes",
    ENVIRONMENT_NAME_PATTERN: "the name of an environment variable, like ANAMNESIS_SPLIT_KEY",
    SECRET_KEY_PATTERN: "the key of a Secret: letters, digits, dots, dashes, underscores",
    MEMORY_PATTERN: "a number and Mi or Gi, like 2Gi",
    LABEL_NAME_PATTERN: "the key of a label, like nvidia.com/gpu.product",
    OPTIONAL_LABEL_NAME_PATTERN: "the key of a taint, like nvidia.com/gpu, or nothing",
    LABEL_VALUE_PATTERN: "the value of a label: letters, digits, dots, dashes, underscores",
    ABSOLUTE_PATH_PATTERN: "an absolute path, like /data",
    PUBLIC_KEY_PATTERN: "a public key, as 'anamnesis key signing' prints it",
    DECIMAL_PATTERN: 'a decimal in quotes, like "0.80"',
    SALIENCY_FLOOR_PATTERN: 'SameClass, or a decimal in quotes, like "0.40"',
    NUMBER_PATTERN: 'a number in quotes, like "0.001"',
    CRON_PATTERN: "five fields (minute, hour, day, month, weekday) of numbers or names, like 30 2 * * MON-FRI",
}

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=63)]
"""A Kubernetes name: lower-case letters, digits and dashes."""
PathSafeName = Annotated[str, StringConstraints(pattern=PATH_SAFE_NAME_PATTERN, max_length=63)]
"""A name of a task or class: anything but a slash."""
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""Name of a column of a table."""
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=1024)]
"""Text that is not blank."""
Duration = Annotated[str, StringConstraints(pattern=DURATION_PATTERN, max_length=32)]
PositiveDuration = Annotated[str, StringConstraints(pattern=POSITIVE_DURATION_PATTERN, max_length=32)]
"""A duration that is not 0."""
Digest = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN, max_length=71)]
Url = Annotated[str, StringConstraints(pattern=URL_PATTERN, max_length=1024)]
"""``s3://bucket/prefix``, ``file:///absolute/path``, or a path relative to the file that holds the resource."""
S3Url = Annotated[str, StringConstraints(pattern=S3_URL_PATTERN, max_length=1024)]
WebAddress = Annotated[str, StringConstraints(pattern=WEB_ADDRESS_PATTERN, max_length=1024)]
BodyPart = Annotated[str, StringConstraints(pattern=BODY_PART_PATTERN, max_length=16)]
Modality = Annotated[str, StringConstraints(pattern=MODALITY_PATTERN, max_length=32)]
MethodName = Annotated[str, StringConstraints(pattern=METHOD_PATTERN, max_length=63)]
Reason = Annotated[str, StringConstraints(pattern=REASON_PATTERN, max_length=64)]
Sentence = Annotated[str, StringConstraints(max_length=1024)]
TimeZone = Annotated[
    str,
    StringConstraints(pattern=TIME_ZONE_PATTERN, max_length=64),
    Field(
        json_schema_extra=cel_rules(
            (
                "timestamp('2024-01-01T00:00:00Z').getHours(self) >= 0",
                "expected a name of the time zone database, like Europe/Rome",
            )
        )
    ),
]
TimeOfDay = Annotated[str, StringConstraints(pattern=TIME_OF_DAY_PATTERN, max_length=32)]
Cron = Annotated[str, StringConstraints(pattern=CRON_PATTERN, max_length=100)]
EnvironmentName = Annotated[str, StringConstraints(pattern=ENVIRONMENT_NAME_PATTERN, max_length=128)]
SecretKeyName = Annotated[str, StringConstraints(pattern=SECRET_KEY_PATTERN, max_length=253)]
Memory = Annotated[str, StringConstraints(pattern=MEMORY_PATTERN, max_length=32)]
LabelName = Annotated[str, StringConstraints(pattern=LABEL_NAME_PATTERN, max_length=317)]
OptionalLabelName = Annotated[str, StringConstraints(pattern=OPTIONAL_LABEL_NAME_PATTERN, max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE_PATTERN, max_length=63)]
AbsolutePath = Annotated[str, StringConstraints(pattern=ABSOLUTE_PATH_PATTERN, max_length=1024)]
