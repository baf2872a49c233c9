"""Bounded types of text: the pattern of each, and its description for people."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from anamnesis.operator.api.cel import cel_rules
from anamnesis.records.network_options import MONAI_NETWORKS, OWN_NETWORKS, TIMM_PREFIX

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
TEXT_PATTERN = r"[^\s]"
PATH_SAFE_NAME_PATTERN = r"^[^/\s.]([^/\r\n\t]*[^/\s])?$"
DURATION_PATTERN = r"^[0-9]{1,6}(s|m|h|d)$"
POSITIVE_DURATION_PATTERN = r"^[1-9][0-9]{0,5}(s|m|h|d)$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
_S3_URL = r"s3://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[^\r\n\t]*)?"
URL_PATTERN = rf"^({_S3_URL}|file:///[^\r\n\t]*|[^:\r\n\t]+)$"
WEIGHTS_URL_PATTERN = rf"^({_S3_URL}|file:///[^\r\n\t]*|package://[A-Za-z0-9][A-Za-z0-9._-]*/[^\r\n\t]+|[^:\r\n\t]+)$"
S3_URL_PATTERN = rf"^{_S3_URL}$"
WEB_ADDRESS_PATTERN = r"^https?://([^\s/?#@:\[\]]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?(/[^\s?#]*)?$"
IMAGE_PATTERN = (
    r"^([A-Za-z0-9][-A-Za-z0-9.]*(:[0-9]{1,5})?/)?[a-z0-9]+([-._/]+[a-z0-9]+)*"
    r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
MODALITY_PATTERN = r"^[A-Z0-9_]{1,16}$"
BODY_PART_PATTERN = r"^[A-Z0-9]([A-Z0-9 _]*[A-Z0-9])?$"
DICOM_DATE_PATTERN = r"^(1[89]|2[0-9])[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$"
STUDY_DESCRIPTION_PATTERN = r"^[^\\\s]([^\\\r\n\t]*[^\\\s])?$"
METHOD_PATTERN = r"^[A-Z][A-Za-z0-9]{0,62}$"
REASON_PATTERN = r"^[A-Z][A-Za-z0-9]{0,63}$"
TIME_ZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+/-]*$"
TIME_OF_DAY_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
ENVIRONMENT_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
SECRET_KEY_PATTERN = r"^[-._a-zA-Z0-9]+$"
MEMORY_PATTERN = r"^[1-9][0-9]{0,5}(Mi|Gi|Ti|M|G|T)$"
CPU_PATTERN = r"^([1-9][0-9]{0,5}m|[1-9][0-9]{0,3}(\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))$"
_LABEL_PART = r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
LABEL_NAME_PATTERN = rf"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_LABEL_PART}$"
OPTIONAL_LABEL_NAME_PATTERN = rf"^(([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_LABEL_PART})?$"
LABEL_VALUE_PATTERN = rf"^({_LABEL_PART})?$"
ABSOLUTE_PATH_PATTERN = r"^/.+$"
DECIMAL_PATTERN = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$"
SALIENCY_FLOOR_PATTERN = rf"^(SameClass|{DECIMAL_PATTERN[1:-1]})$"
PUBLIC_KEY_PATTERN = r"^[A-Za-z0-9+/]{43}=$"
NETWORK_TYPE_PATTERN = rf"^({'|'.join([*OWN_NETWORKS, *MONAI_NETWORKS])}|{TIMM_PREFIX}[a-z0-9_]+)$"
FROZEN_STAGES_PATTERN = r"^(Nothing|All|Stages 1-[1-9])$"
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
    PATH_SAFE_NAME_PATTERN: "text without a slash, without spaces at its ends, and without a dot at its start",
    DURATION_PATTERN: "a number and s, m, h or d, like 30m",
    POSITIVE_DURATION_PATTERN: "a number above 0 and s, m, h or d, like 30m",
    DIGEST_PATTERN: "sha256: and 64 hex digits in small letters",
    URL_PATTERN: "s3://bucket/prefix, file:///absolute/path or a relative path; a bucket in small letters",
    WEIGHTS_URL_PATTERN: "s3://bucket/prefix/name, file:///absolute/path, package://package/name or a relative path",
    S3_URL_PATTERN: "an address like s3://bucket/prefix, with the bucket in small letters",
    WEB_ADDRESS_PATTERN: "an address with http:// or https://, without user, password and query",
    IMAGE_PATTERN: "a container image like registry.example/team/image:1.0, its path in small letters",
    MODALITY_PATTERN: "a DICOM modality code, like DX or CT",
    BODY_PART_PATTERN: "a DICOM value of BodyPartExamined in capitals, like CHEST",
    DICOM_DATE_PATTERN: "a DICOM date in quotes, year, month and day, like 20240131",
    STUDY_DESCRIPTION_PATTERN: "text of one line without a backslash, and without spaces at its ends",
    METHOD_PATTERN: "the name of a method, like EWCPrototype",
    REASON_PATTERN: "one word in CamelCase",
    TIME_ZONE_PATTERN: "a time zone, like Europe/Rome",
    TIME_OF_DAY_PATTERN: "a time of day from 00:00 to 23:59, in quotes",
    ENVIRONMENT_NAME_PATTERN: "the name of an environment variable, like ANAMNESIS_SPLIT_KEY",
    SECRET_KEY_PATTERN: "the key of a Secret: letters, digits, dots, dashes, underscores",
    MEMORY_PATTERN: "a number and Mi, Gi, Ti, M, G or T, like 2Gi",
    CPU_PATTERN: 'a number of CPUs in quotes, like "4" or "0.5", or of thousandths, like 500m',
    LABEL_NAME_PATTERN: "the key of a label, like nvidia.com/gpu.product",
    OPTIONAL_LABEL_NAME_PATTERN: "the key of a taint, like nvidia.com/gpu, or nothing",
    LABEL_VALUE_PATTERN: "the value of a label: letters, digits, dots, dashes, underscores",
    ABSOLUTE_PATH_PATTERN: "an absolute path, like /data",
    PUBLIC_KEY_PATTERN: "a public key, as 'anamnesis key signing' prints it",
    DECIMAL_PATTERN: 'a decimal in quotes, like "0.80"',
    SALIENCY_FLOOR_PATTERN: 'SameClass, or a decimal in quotes, like "0.40"',
    NETWORK_TYPE_PATTERN: "SmallCNN, ResNet18, timm/<model>, or a network of MONAI like monai/DenseNet121",
    FROZEN_STAGES_PATTERN: "Nothing, All, or Stages 1-4",
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
WeightsUrl = Annotated[str, StringConstraints(pattern=WEIGHTS_URL_PATTERN, max_length=1024)]
"""As ``Url``, or a file of an installed Python package."""
S3Url = Annotated[str, StringConstraints(pattern=S3_URL_PATTERN, max_length=1024)]
WebAddress = Annotated[str, StringConstraints(pattern=WEB_ADDRESS_PATTERN, max_length=1024)]
ImageName = Annotated[str, StringConstraints(pattern=IMAGE_PATTERN, max_length=512)]
BodyPart = Annotated[str, StringConstraints(pattern=BODY_PART_PATTERN, max_length=16)]
Modality = Annotated[str, StringConstraints(pattern=MODALITY_PATTERN, max_length=32)]
DicomDate = Annotated[
    str,
    StringConstraints(pattern=DICOM_DATE_PATTERN, max_length=32),
    Field(
        json_schema_extra=cel_rules(
            (
                "timestamp(self.substring(0, 4) + '-' + self.substring(4, 6) + '-' + self.substring(6) + "
                "'T00:00:00Z').getDate() > 0",
                "expected a day of the calendar, like 20240131",
            )
        )
    ),
]
StudyDescription = Annotated[str, StringConstraints(pattern=STUDY_DESCRIPTION_PATTERN, max_length=64)]
NetworkType = Annotated[str, StringConstraints(pattern=NETWORK_TYPE_PATTERN, max_length=128)]
FrozenStages = Annotated[str, StringConstraints(pattern=FROZEN_STAGES_PATTERN, max_length=16)]
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
Cpu = Annotated[str, StringConstraints(pattern=CPU_PATTERN, max_length=32)]
"""A number of CPUs, as a Kubernetes quantity."""
Memory = Annotated[str, StringConstraints(pattern=MEMORY_PATTERN, max_length=32)]
LabelName = Annotated[str, StringConstraints(pattern=LABEL_NAME_PATTERN, max_length=317)]
OptionalLabelName = Annotated[str, StringConstraints(pattern=OPTIONAL_LABEL_NAME_PATTERN, max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE_PATTERN, max_length=63)]
AbsolutePath = Annotated[str, StringConstraints(pattern=ABSOLUTE_PATH_PATTERN, max_length=1024)]
