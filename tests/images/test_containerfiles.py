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


def problems(text: str, title: str) -> set[str]:
    """What is wrong with a Containerfile."""
    all_of = instructions(text)
    last = all_of[max(number for number, (name, _) in enumerate(all_of) if name == "FROM") :]
    found = set()
    if sum(name == "FROM" for name, _ in all_of) < 2:
        found.add("one stage")
    if not all("${BASE_DIGEST:+@${BASE_DIGEST}}" in rest for name, rest in all_of if name == "FROM"):
        found.add("base without digest argument")
    users = [rest for name, rest in last if name == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        found.add("root")
    labels = " ".join(rest for name, rest in last if name == "LABEL")
    wanted = [f'title="{title}"', 'licenses="Apache-2.0"', "version=", "revision=", "description="]
    if not all(f"org.opencontainers.image.{label}" in labels for label in wanted):
        found.add("labels")
    if any(name == "ADD" for name, _ in all_of) or re.search(r"\b(curl|wget)\b", text):
        found.add("downloads")
    if not all("--constraint constraints.txt" in rest for name, rest in all_of if "pip install" in rest):
        found.add("unpinned")
    if any(name == "RUN" for name, _ in last) or not any(
        name == "COPY" and "--from=build" in rest for name, rest in last
    ):
        found.add("what builds stays in")
    if any(name in ("ARG", "ENV") and re.search(r"(?i)secret|token|password|_key", rest) for name, rest in all_of):
        found.add("secret")
    return found


@pytest.mark.parametrize("name", IMAGES)
def test_image_keeps_the_rules(name: str) -> None:
    assert problems((ROOT / name).read_text(), IMAGES[name]) == set()


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
    assert problem in problems(text.replace(old, new), IMAGES["Containerfile"])


def test_only_the_training_image_has_torch() -> None:
    extras = {name: re.search(r'"\.\[([a-z,]+)\]"', (ROOT / name).read_text()) for name in IMAGES}
    assert {name: match and set(match[1].split(",")) for name, match in extras.items()} == {
        "Containerfile": {"learn", "operator", "pipelines"},
        "Containerfile.operator": {"operator", "pipelines"},
    }


def test_what_is_copied_is_let_through_and_exists() -> None:
    allowed = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    for name in IMAGES:
        found = [rest for kind, rest in instructions((ROOT / name).read_text()) if kind == "COPY"]
        copied = [rest.split()[:-1] for rest in found if not rest.startswith("--from=")]
        assert {one for group in copied for one in group} == allowed
    assert {one for one in allowed if not (ROOT / one).exists()} <= {"constraints.txt", "LICENSE", "README.md"}
