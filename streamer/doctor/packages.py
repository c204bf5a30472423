"""Which versions are installed, and which extras."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from streamer.doctor.finding import Finding

EXTRAS = {
    "dashboard": "moodring dashboard, a page to look at",
    "osc": "moodring bridge osc",
    "sacn": "moodring bridge sacn, DMX lights",
    "artnet": "moodring bridge artnet, DMX lights",
    "mqtt": "moodring bridge mqtt",
    "websocket": "moodring bridge websocket",
    "midi": "moodring bridge midi",
    "lsl": "moodring bridge lsl",
    "serve": "moodring serve, many streams as a service",
    "formats": "M4A, AAC, WMA and the sound of videos",
    "parquet": "moodring annotate -o FILE.parquet",
    "plots": "moodring report -o FILE.png",
    "torch": "the large model and .safetensors files",
    "train": "moodring train",
}
"""What each is for. Not those that only hold others, or are for work on moodring itself."""


def look_at_packages() -> Iterator[Finding]:
    """Look at Python, and at every package that tracking needs.

    Yields
    ------
    Finding
    """
    version = metadata.version("moodring")
    python, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    yield Finding(
        "moodring",
        "ok",
        f"{version}, with Python {python} on {system}, in {sys.prefix}",
        details={"version": version, "python": python, "system": system, "prefix": sys.prefix},
    )
    yield _sockets()
    yield _package("soundfile", "reads audio files", "__libsndfile_version__", "libsndfile")
    yield _package("soxr", "brings audio to the model's rate", "__libsoxr_version__", "libsoxr")
    yield _package("numpy", "computes features")
    yield _package("onnxruntime", "computes the model")
    if _installed("torch"):
        version = metadata.version("torch")
        yield Finding("torch", "ok", f"{version}: for training and the large model", details={"version": version})


def look_at_extras() -> Iterator[Finding]:
    """Look at which extras are installed.

    Yields
    ------
    Finding
    """
    requirements = [Requirement(text) for text in metadata.requires("moodring") or ()]
    have: list[str] = []
    lack: list[str] = []
    for extra in EXTRAS:
        needed = [one for one in requirements if one.marker and _only_for(extra, one)]
        (have if all(_satisfied(one) for one in needed) else lack).append(extra)
    if have:
        yield Finding("installed", "ok", ", ".join(have), details={"extras": have})
    for extra in lack:
        command = install_command(extra)
        # the command is the same but for the name: once is enough for people
        remedy = f"add what you need by its name, such as: {command}" if extra == lack[-1] else ""
        yield Finding(extra, "note", f"not installed; it is for {EXTRAS[extra]}", remedy, {"install": command})


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this very installation.

    Parameters
    ----------
    extra : str
        One of `EXTRAS`.

    Returns
    -------
    str
    """
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        return f'pipx runpip {prefix.name} install "moodring[{extra}]"'
    if (prefix / "uv-receipt.toml").exists():
        return f'uv pip install --python "{sys.executable}" "moodring[{extra}]"'
    return f'"{sys.executable}" -m pip install "moodring[{extra}]"'


def _sockets() -> Finding:
    import zmq

    curve = bool(zmq.has("curve"))
    versions = {"version": zmq.zmq_version(), "pyzmq": zmq.pyzmq_version(), "curve": curve}
    text = f"{versions['version']} (pyzmq {versions['pyzmq']}): publishes; CURVE encryption "
    if curve:
        return Finding("ZeroMQ", "ok", f"{text}works", details=versions)
    remedy = "nothing can be published to other machines with keys; install pyzmq from its wheel: pip install -U pyzmq"
    return Finding("ZeroMQ", "warning", f"{text}is missing in this build", remedy, versions)


def _package(name: str, purpose: str, native: str = "", library: str = "") -> Finding:
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        return Finding(
            name,
            "failure",
            f"cannot be imported, and {purpose}: {error}",
            f'"{sys.executable}" -m pip install --force-reinstall {name}',
        )
    version = metadata.version(name)
    details = {"version": version}
    text = f"{version}: {purpose}"
    if native and hasattr(module, native):
        details[library] = str(getattr(module, native))
        text = f"{version} ({library} {details[library]}): {purpose}"
    return Finding(name, "ok", text, details=details)


def _only_for(extra: str, requirement: Requirement) -> bool:
    assert requirement.marker is not None
    return requirement.marker.evaluate({"extra": extra}) and not requirement.marker.evaluate({"extra": ""})


def _satisfied(requirement: Requirement) -> bool:
    return _installed(requirement.name) and requirement.specifier.contains(
        metadata.version(requirement.name), prereleases=True
    )


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
