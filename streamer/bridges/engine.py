"""Follows a stream by a mapping: messages go in, values at any instant come out."""

from __future__ import annotations

from streamer.bridges.glide import Glide
from streamer.bridges.mapping import DEAD_AFTER, Mapping, Output, SceneName
from streamer.bridges.signals import Value, read
from streamer.messages import FINAL_STATES, Estimate, Status


class Engine:
    """Values of all outputs as functions of time.

    Parameters
    ----------
    mapping : Mapping
        What goes where.
    now : float
        Seconds on a clock that never goes back.

    Attributes
    ----------
    mapping : Mapping
        The present one.
    stream : str or None
        The stream that is followed; None while none is chosen or heard.
    scene : SceneName or None
        What is shown instead of the stream, if anything.
    """

    def __init__(self, mapping: Mapping, now: float) -> None:
        self.mapping = mapping
        self.stream = mapping.stream
        self.scene: SceneName | None = None
        self._estimate: Estimate | None = None
        self._status: Status | None = None
        self._heard = now - DEAD_AFTER
        self._glides: dict[str, Glide] = {}
        self._texts: dict[str, str] = {}
        self._before: dict[str, Value] = {}
        self._show(now)

    def replace(self, mapping: Mapping, now: float) -> None:
        """Go on with another mapping; outputs of the same name and kind go on from where they are."""
        if mapping.stream not in (None, self.stream):
            self._estimate = self._status = None
            self._heard = now - DEAD_AFTER
        old = {output.name: output for output in self.mapping.outputs}
        self.mapping = mapping
        self.stream = mapping.stream or self.stream
        for output in mapping.outputs:
            same = output.name in old and old[output.name].shape.parts == output.shape.parts
            if not same:
                for kept in (self._glides, self._texts, self._before):
                    kept.pop(output.name, None)
        self.scene = None
        self._show(now)

    def hear(self, message: Estimate | Status, now: float) -> bool:
        """Take a message.

        Parameters
        ----------
        message : Estimate or Status
            Of any stream.
        now : float
            Seconds.

        Returns
        -------
        bool
            Whether it is an estimate of the stream that is followed.
        """
        if self.mapping.stream is None and (self.stream is None or self._silent_for(now)):
            self._follow(message)
        if message.stream != self.stream:
            return False
        if isinstance(message, Estimate):
            self._estimate = message
        else:
            if self._estimate is not None and self._estimate.time < (message.started or 0.0):
                self._estimate = None  # of a run that is over
            self._status = message
        self._heard = now
        self._show(now)
        return isinstance(message, Estimate)

    def values(self, now: float) -> dict[str, Value]:
        """Return what is to be sent.

        Parameters
        ----------
        now : float
            Seconds.

        Returns
        -------
        dict of str to Value
            By the output's name; without those that have had no value yet.
        """
        if self.scene not in ("dead", "end") and self._silent_for(now):
            self._show(now)
        glides: dict[str, Value] = {name: glide.value(now) for name, glide in self._glides.items()}
        found = glides | self._texts
        return {output.name: found[output.name] for output in self.mapping.outputs if output.name in found}

    def end(self, now: float) -> float | None:
        """Go to the last scene.

        Parameters
        ----------
        now : float
            Seconds.

        Returns
        -------
        float or None
            How many seconds it takes; None if the mapping has no such scene.
        """
        if "end" not in self.mapping.scenes:
            return None
        self._enter("end", now)
        return self.mapping.scenes["end"].fade

    def _follow(self, message: Estimate | Status) -> None:
        if isinstance(message, Status) and message.state in FINAL_STATES:
            return
        if message.stream != self.stream:
            self.stream = message.stream
            self._estimate = self._status = None

    def _silent_for(self, now: float) -> bool:
        ended = self._status is not None and self._status.state in FINAL_STATES
        return ended or now - self._heard >= DEAD_AFTER

    def _show(self, now: float) -> None:
        scene = self._present_scene(now)
        if scene != self.scene:
            self._enter(scene, now)
        if scene == "dead":
            return
        shown = self.mapping.scenes[scene].values if scene in self.mapping.scenes else {}
        for output in self.mapping.outputs:
            if output.name not in shown:
                self._aim(output, now)

    def _present_scene(self, now: float) -> SceneName | None:
        if self._silent_for(now):
            return "dead"
        stalled = self._status is not None and self._status.state != "running"
        return "silent" if stalled or self._estimate is None or self._estimate.valence is None else None

    def _enter(self, scene: SceneName | None, now: float) -> None:
        self.scene = scene
        if scene not in self.mapping.scenes:
            return
        entered = self.mapping.scenes[scene]
        glides = {output.name: output.destination.glides for output in self.mapping.outputs}
        for name, value in entered.values.items():
            if isinstance(value, str):
                self._texts[name] = value
            elif name in self._glides:
                self._glides[name].fade(value, now, entered.fade if glides[name] else 0.0)
            else:
                self._glides[name] = Glide(value)

    def _aim(self, output: Output, now: float) -> None:
        reading = read(output.source, self._estimate, self._status)
        if reading is None:
            return
        value = output.shape.value(reading, self._before.get(output.name))
        if value is None:
            return
        self._before[output.name] = value
        if isinstance(value, str):
            self._texts[output.name] = value
        elif output.name in self._glides:
            self._glides[output.name].aim(value, now, output.attack, output.release)
        else:
            self._glides[output.name] = Glide(value)
