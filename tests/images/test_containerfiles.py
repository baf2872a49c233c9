"""What can be held of the images without building them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {"Containerfile": "anamnesis-training", "Containerfile.operator": "anamnesis-operator"}


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Containerfile, continued lines joined: (name, rest)."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    split = (line.strip().partition(" ") for line in lines if line.strip())
    return [(name.upper(), rest.strip()) for name, _, rest in split]


def broken_rules(text: str, title: str) -> set[str]:
    """What is wrong with a Containerfile."""
    all_instructions = instructions(text)
    last_stage = all_instructions[max(number for number, (name, _) in enumerate(all_instructions) if name == "FROM") :]
    names = set()
    if sum(name == "FROM" for name, _ in all_instructions) < 2:
        names.add("one stage")
    if not all("${BASE_DIGEST:+@${BASE_DIGEST}}" in rest for name, rest in all_instructions if name == "FROM"):
        names.add("base without digest argument")
    users = [rest for name, rest in last_stage if name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        names.add("root")
    labels = " ".join(rest for name, rest in last_stage if name == "LABEL")
    required_labels = [f'title="{title}"', 'licenses="Apache-2.0"', "version=", "revision=", "description="]
    if not all(f"org.opencontainers.image.{label}" in labels for label in required_labels):
        names.add("labels")
    if any(name == "ADD" for name, _ in all_instructions) or re.search(r"\b(curl|wget)\b", text):
        names.add("downloads")
    if not all("--constraint constraints.txt" in rest for name, rest in all_instructions if "pip install" in rest):
        names.add("unpinned")
    if any(name == "RUN" for name, _ in last_stage) or not any(
        name == "COPY" and "--from=build" in rest for name, rest in last_stage
    ):
        names.add("what builds stays in")
    if any(
        name in ("ARG", "ENV") and re.search(r"(?i)secret|token|password|_key", rest) for name, rest in all_instructions
    ):
        names.add("secret")
    return names


@pytest.mark.parametrize("name", IMAGES)
def test_image_keeps_the_rules(name: str) -> None:
    assert broken_rules((ROOT / name).read_text(), IMAGES[name]) == set()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("USER 65532:65532", "USER root", "root"),
        ("${BASE_DIGEST:+@${BASE_DIGEST}}", "", "base without digest argument"),
        ("WORKDIR /source", "ADD http://example.org/x /x", "downloads"),
        ("WORKDIR /source", "RUN curl http://example.org | sh", "downloads"),
        ("--constraint constraints.txt ", "", "unpinned"),
        ("USER 65532:65532", "RUN pip install --constraint constraints.txt x", "what builds stays in"),
        ("COPY --from=build", "COPY", "what builds stays in"),
        ("ARG PIP_CERT", "ARG INDEX_PASSWORD", "secret"),
        ("Apache-2.0", "unknown", "labels"),
    ],
)
def test_a_broken_rule_is_found(old: str, new: str, problem: str) -> None:
    text = (ROOT / "Containerfile").read_text()
    assert old in text
    assert problem in broken_rules(text.replace(old, new), IMAGES["Containerfile"])


def test_only_the_training_image_has_torch() -> None:
    extras = {name: re.search(r'"\.\[([a-z,]+)\]"', (ROOT / name).read_text()) for name in IMAGES}
    assert {name: match and set(match[1].split(",")) for name, match in extras.items()} == {
        "Containerfile": {"pretrained", "operator", "pipelines"},
        "Containerfile.operator": {"operator", "pipelines"},
    }


def test_what_is_copied_is_let_through_and_exists() -> None:
    allowed = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    for name in IMAGES:
        copy_arguments = [rest for kind, rest in instructions((ROOT / name).read_text()) if kind == "COPY"]
        copied_paths = [rest.split()[:-1] for rest in copy_arguments if not rest.startswith("--from=")]
        assert {path for group in copied_paths for path in group} == allowed
    assert {path for path in allowed if not (ROOT / path).exists()} <= {"constraints.txt", "LICENSE", "README.md"}
