"""``moodring doctor``: what works on this machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from streamer.commands.completion import complete_devices
from streamer.commands.options import model_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model.loading import ModelChoice
    from streamer.doctor.finding import Finding, Verdict

_MARKS: dict[Verdict, str] = {"ok": "ok", "note": "note", "warning": "WARNING", "failure": "FAILURE"}
_COLOURS: dict[Verdict, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "failure": "red"}
_MARK_WIDTH = 8


@click.command()
@click.option(
    "--device",
    metavar="NAME",
    shell_complete=complete_devices,
    help="Listen to this device only, and fail if it does not work.",
)
@click.option("--json", is_flag=True, help="Print one JSON object instead.")
@model_option
def doctor(device: str | None, json: bool, model: ModelChoice) -> None:
    """Say what works on this machine, and what to do about the rest.

    Listens to each input device for a second and shows how loud it is: a bar up to its root-mean-square level, and |
    at the peak. Times the model, looks at the ports, and lists versions and extras.

    The exit status is 0 if audio can be tracked. No device is no failure: files and pipes work without.

    \b
    Examples:
      moodring doctor
      moodring doctor --device "USB Audio"
      moodring doctor --json > machine.json
    """
    findings: list[dict[str, object]] = []
    verdicts: list[Verdict] = []
    for part, examination in _parts(device, model):
        if not json:
            click.echo(click.style(part, bold=True))
        for finding in examination():
            verdicts.append(finding.verdict)
            if json:
                findings.append({"part": part, **vars(finding)})
            else:
                _show(finding)
    works = "failure" not in verdicts
    if json:
        from json import dumps

        click.echo(dumps({"works": works, "findings": findings}, indent=2))
    else:
        _conclude(works, verdicts.count("warning"))
    if not works:
        raise click.exceptions.Exit(1)


def _parts(device: str | None, model: ModelChoice) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
    from streamer.doctor.finding import examined

    def packages() -> Iterator[Finding]:
        from streamer.doctor.packages import look_at_packages

        return look_at_packages()

    def tracking() -> Iterator[Finding]:
        from streamer.doctor.computing import look_at_messages, look_at_model

        yield from look_at_model(model)
        yield from look_at_messages()

    def devices() -> Iterator[Finding]:
        from streamer.doctor.devices import look_at_devices

        return look_at_devices(device)

    def ports() -> Iterator[Finding]:
        from streamer.doctor.ports import look_at_ports

        return look_at_ports()

    def extras() -> Iterator[Finding]:
        from streamer.doctor.packages import look_at_extras

        return look_at_extras()

    looks = {"versions": packages, "tracking": tracking, "devices": devices, "ports": ports, "extras": extras}
    for part, look in looks.items():
        yield part, partial(examined, part, look)


def _show(finding: Finding) -> None:
    mark = click.style(_MARKS[finding.verdict].ljust(_MARK_WIDTH), fg=_COLOURS[finding.verdict])
    click.echo(f"  {mark} {finding.subject}: {finding.text}")
    for line in finding.remedy.splitlines():
        click.echo(f"  {'':{_MARK_WIDTH}}   -> {line}")


def _conclude(works: bool, warnings: int) -> None:
    text = "moodring can track music here" if works else "moodring cannot track music here: see FAILURE above"
    if warnings:
        text += f"; {warnings} warning{'s' if warnings > 1 else ''}"
    click.echo(click.style(text, fg="green" if works else "red", bold=True))
