"""``docs/install.md`` and the commands of all pages: the chart accepts the values, and the commands exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import helm_python
import pytest
import typer
import yaml
from builders.api_server import ApiServer
from chart.conftest import Json, find_object, make_namespace, objects_of

from anamnesis.cli.app import app
from charts.golden import CHART, profiles

ROOT = Path(__file__).resolve().parents[2]
INSTALL = (ROOT / "docs" / "install.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
REQUIRED_VALUES: Json = {"networkPolicy": {"enabled": True, "apiServer": {"cidrs": ["10.0.0.1/32"]}}}
"""Values that others on the page need to have an effect."""


def values_on_page() -> list[Json]:
    blocks = [part.partition("```")[0] for part in INSTALL.split("```yaml\n")[1:]]
    return [yaml.safe_load(block) for block in blocks if block.startswith("# values.yaml\n")]


def commands(text: str) -> Iterator[str]:
    """The commands of a page's code blocks, with continued lines joined and without comments."""
    indented = "\n".join(line.strip() for line in text.splitlines() if line.startswith("    "))
    fenced = "\n".join(part.partition("```")[0] for part in text.split("```bash\n")[1:])
    for line in f"{indented}\n{fenced}".replace("\\\n", " ").splitlines():
        yield re.sub(r"\s+#.*", "", line).strip()


def test_the_page_has_what_is_looked_for() -> None:
    assert len(values_on_page()) >= 6
    assert len([line for line in commands(INSTALL) if line.startswith(("kubectl", "anamnesis", "helm"))]) >= 30


@pytest.mark.parametrize("page_values", values_on_page(), ids=lambda values: "+".join(values))
def test_values_of_the_page_are_taken_and_change_what_is_installed(page_values: Json) -> None:
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(page_values)
    rest = {name: part for name, part in REQUIRED_VALUES.items() if name in page_values}
    assert objects_of(
        {**page_values, **{name: {**part, **page_values[name]} for name, part in rest.items()}}
    ) != objects_of(rest)


def test_a_folder_on_nfs_is_a_claim_that_a_restricted_pod_may_have(empty_cluster: ApiServer) -> None:
    namespace = make_namespace(empty_cluster)
    (scans,) = [part.partition("```")[0] for part in INSTALL.split("```yaml\n") if part.startswith("# scans.yaml\n")]
    volume, claim = yaml.safe_load_all(scans)
    volume["spec"]["claimRef"]["namespace"] = claim["metadata"]["namespace"] = namespace
    for document in (volume, claim):
        empty_cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(document))
    (values,) = [values for values in values_on_page() if "extraVolumes" in values.get("operator", {})]
    deployment = find_object(objects_of({**values, "crds": {"enabled": False}}, namespace), "Deployment")
    assert "Warning" not in dry_run(empty_cluster, namespace, deployment)
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    assert volumes[-1] == {"name": "scans", "persistentVolumeClaim": {"claimName": "scans", "readOnly": True}}
    volumes[-1] = {"name": "scans", "nfs": volume["spec"]["nfs"]}
    assert 'would violate PodSecurity "restricted' in dry_run(empty_cluster, namespace, deployment)


def dry_run(cluster: ApiServer, namespace: str, document: Json) -> str:
    apply = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", "-")
    return cluster.kubectl(*apply, stdin=yaml.safe_dump(document))


def test_every_value_that_a_page_names_is_one_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    blocks = "|".join(sorted(values.keys() - {"alerts", "images", "registry", "test"}))  # also fields and files
    pattern = re.compile(rf"`((?:{blocks})(?:\.[a-zA-Z]+)+)(?:=[^`]*)?`(?!\.)")
    paths = {(page.name, match[1]) for page in PAGES for match in pattern.finditer(page.read_text())}
    paths = {(page, path) for page, path in paths if path != "pipelines.kubeflow.org"}  # an audience of tokens
    assert len(paths) >= 30
    for page, path in sorted(paths):
        part = values
        for name in path.split("."):
            assert isinstance(part, dict), f"{page}: {path}"
            assert name in part, f"{page}: {path}"
            part = part[name]


def test_helm_is_called_as_it_is_called() -> None:
    options = {"-n", "--namespace", "--create-namespace", "--values", "--wait", "--show-only", "--force-conflicts"}
    for line in commands(INSTALL):
        if line.startswith("helm "):
            words = shlex.split(line.partition("|")[0])
            assert words[1] in {"install", "upgrade", "test", "template", "uninstall"}, line
            assert {word for word in words if word.startswith("-")} <= options, line
            if words[1] in {"install", "upgrade", "template"}:
                assert ROOT / words[3] == CHART, line
            files = [words[index + 1] for index, word in enumerate(words) if word == "--values"]
            assert set(files) <= {"values.yaml", *(f"charts/anamnesis/ci/{name}-values.yaml" for name in profiles())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_ours_has_the_options_that_pages_give_it(page: Path) -> None:
    for line in commands(page.read_text()):
        words = re.sub(r"^kubectl anamnesis", "anamnesis", line.partition("|")[0]).split(" >")[0]
        if words.startswith("anamnesis "):
            parse(shlex.split(words)[1:])


def parse(words: list[str]) -> None:
    """Parses the options of a command without calling it; an unknown option raises."""
    command = typer.main.get_command(app)
    context = command.make_context("anamnesis", words)
    while hasattr(command, "resolve_command"):
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(command.name, rest, parent=context)


def test_an_option_that_does_not_exist_is_found() -> None:
    for wrong in ("status --nope", "registry verify --hed 1:a", "aprove -n wards chest"):
        with pytest.raises(Exception, match=r"No such (option|command)"):
            parse(wrong.split())


def test_what_is_made_by_kubectl_is_taken_by_the_api_server(empty_cluster: ApiServer, tmp_path: Path) -> None:
    release_namespace, command_count = make_namespace(empty_cluster), 0
    for name in ("split.key", "ca.crt"):
        (tmp_path / name).write_text("x" * 64)
    for line in commands(INSTALL):
        command_line = re.sub(r"\$\([^)]*\)", "secret-in-place", line)
        if not re.match(r"kubectl (-n \S+ )?create ", command_line):
            continue
        command_line = re.sub(r"-n \S+", f"-n {release_namespace}", command_line)
        command_line = re.sub(
            r"--from-file=(key=)?(\S+)",
            lambda match: f"--from-file={match[1] or ''}{existing_path(match[2], tmp_path)}",
            command_line,
        )
        output = empty_cluster.kubectl(*shlex.split(command_line)[1:], "--dry-run=server", check=False)
        assert "(server dry run)" in output or "already exists" in output, f"{line}: {output}"
        command_count += 1
    assert command_count >= 8


def existing_path(file: str, folder: Path) -> Path:
    return (folder if (folder / file).exists() else ROOT) / file
