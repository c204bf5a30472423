"""What is installed for the project is what scripts/constraints.txt says, and set-up and CI install nothing else."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution

import pytest

pytest.importorskip("packaging", reason="reads requirements")

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import REPOSITORY

CONSTRAINTS = REPOSITORY / "scripts" / "constraints.txt"
WITHOUT_PIN = {"moodring"}


def pins() -> dict[str, Version]:
    """Give the versions that are pinned for this Python, by name."""
    found: dict[str, Version] = {}
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), f"{text} does not pin one version"
        if requirement.marker is None or requirement.marker.evaluate():
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice"
            found[name] = Version(str(requirement.specifier)[2:])
    return found


def installed_for(root: str) -> dict[str, Version]:
    """Give what a requirement brings, as far as it is installed: extras and all that depends on them."""
    versions: dict[str, Version] = {}
    waiting = [Requirement(root)]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        key = f"{canonicalize_name(wanted.name)}[{','.join(sorted(wanted.extras))}]"
        if key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:
            continue
        versions[canonicalize_name(wanted.name)] = Version(found.version)
        for text in found.requires or []:
            needed = Requirement(text)
            environments = [{"extra": extra} for extra in (*wanted.extras, "")]
            if needed.marker is None or any(needed.marker.evaluate(environment) for environment in environments):
                waiting.append(needed)
    return versions


def extras() -> str:
    names = distribution("moodring").metadata.get_all("Provides-Extra") or []
    return ",".join(names)


def test_everything_that_is_installed_is_pinned_at_its_version() -> None:
    pinned = pins()
    installed = installed_for(f"moodring[{extras()}]")
    assert len(installed) > 20
    wrong = [
        f"{name} {version}, pinned: {pinned.get(name, 'not at all')}"
        for name, version in sorted(installed.items())
        if name not in WITHOUT_PIN and (name not in pinned or pinned[name].public != version.public)
    ]
    assert wrong == []


def test_what_builds_the_project_is_pinned() -> None:
    wanted = re.search(r'requires = \["([a-z-]+)', (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert wanted is not None
    assert wanted[1] in pins()


@pytest.mark.parametrize("script", ["scripts/setup.sh", ".ci/run"])
def test_set_up_and_continuous_integration_install_with_the_pins(script: str) -> None:
    text = (REPOSITORY / script).read_text(encoding="utf-8").replace("\\\n", " ")
    installing = [line for line in text.splitlines() if re.search(r"-m pip install\b|-m build\b", line)]
    assert installing
    for line in installing:
        before = text[: text.index(line)].rpartition("unset PIP_CONSTRAINT")[2]
        exported = "export PIP_CONSTRAINT=scripts/constraints.txt" in before
        assert exported or re.search(r"(--constraint |PIP_CONSTRAINT=)scripts/constraints\.txt", line), line


def test_what_builds_the_project_is_installed_with_the_pins() -> None:
    assert "PIP_BUILD_CONSTRAINT=scripts/constraints.txt" in (REPOSITORY / "scripts/setup.sh").read_text(
        encoding="utf-8"
    )
