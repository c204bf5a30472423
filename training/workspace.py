"""What both commands need: the data sets below a folder, their features, and figures of a checkpoint on clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from model.checkpoint import Checkpoint
from model.ear import Ear
from model.errors import MoodringError
from model.features import FloatArray, Frontend, build_frontend
from training import datasets
from training.air_features import AirPath, AirPathOfEach, ThroughAir
from training.altered_sound import AlteredFeatureCache
from training.clips import DEVELOPMENT, Clip
from training.datasets.deam_splits import Split
from training.evaluation import Result, evaluate, label_mean
from training.feature_cache import ExtractorCache, FeatureCache
from training.held_out import Material
from training.not_music import not_music_features, not_music_sampler
from training.sampling import WindowSampler
from training.tracking import Estimate
from training.tracks import Tracks


@dataclass(frozen=True)
class Workspace:
    """Labelled music below a folder.

    Attributes
    ----------
    datasets : dict
        Data sets by name.
    clips : dict
        All clips of each.
    jobs : int
        Processes that compute features.
    console : Console
        Where progress is shown.
    """

    datasets: dict[str, datasets.DataSet]
    clips: dict[str, list[Clip]]
    jobs: int
    console: Console

    @classmethod
    def open(
        cls,
        folder: Path,
        jobs: int,
        console: Console,
        deam_split: Split | None = None,
        skip_bad: bool = False,
    ) -> Workspace:
        """Find and load the data sets below a folder, and say which are missing; see `datasets.find`.

        Raises
        ------
        DataError
            If there are none, or one is malformed.
        """
        found, missing = datasets.find(folder, deam_split, skip_bad)
        if missing:
            console.print(
                f"not in {folder}, so left out: {', '.join(missing)}", soft_wrap=True, highlight=False, markup=False
            )
        return cls({d.name: d for d in found}, {d.name: d.clips() for d in found}, jobs, console)

    def features(self, name: str, clips: Sequence[Clip], cache: ExtractorCache) -> list[FloatArray]:
        """Return the features of clips, showing progress.

        Parameters
        ----------
        name : str
            Shown beside the progress.
        clips : sequence of Clip
        cache : ExtractorCache

        Returns
        -------
        list of ndarray of float32, shape (frames, column_count)
        """
        with progress_bar(self.console) as progress:
            task = progress.add_task(f"features of {name}", total=len(clips))
            return cache.load_all(clips, self.jobs, lambda count: progress.advance(task, count))

    def in_rooms(
        self, clips: Mapping[str, Sequence[Clip]], cache: ExtractorCache, chosen: Callable[[Clip], bool]
    ) -> dict[str, list[FloatArray | None]]:
        """Return the rows of what is heard of the chosen ones among clips, in rooms; None for the others.

        Parameters
        ----------
        clips : mapping
            Clips by data set.
        cache : ExtractorCache
            Of what is heard in rooms.
        chosen : callable
            Which clips are trained on.
        """
        heard: dict[str, list[FloatArray | None]] = {}
        for name, of_set in clips.items():
            rows = iter(self.features(f"{name} in rooms", [clip for clip in of_set if chosen(clip)], cache))
            heard[name] = [next(rows) if chosen(clip) else None for clip in of_set]
        return heard

    def material(
        self,
        cache: FeatureCache,
        window: int,
        names: Sequence[str] | None = None,
        *,
        rooms: FeatureCache | None = None,
        trained_on: Callable[[Clip], bool] = lambda clip: True,
    ) -> Material:
        """Return clips with their rows, and sounds that are not music.

        Parameters
        ----------
        cache : FeatureCache
        window : int
            Frames that are needed of the sounds.
        names : sequence of str, optional
            Data sets; all if not given.
        rooms : FeatureCache, optional
            Of what is heard in rooms; None for no rooms.
        trained_on : callable
            Which clips are heard in rooms, too.

        Returns
        -------
        Material
        """
        chosen = {name: clips for name, clips in self.clips.items() if names is None or name in names}
        parameters = cache.frontend.parameters
        with progress_bar(self.console) as progress:
            progress.add_task("features of what is not music", total=None)
            rows = not_music_features(cache.frontend, cache.ear, shortest=window)
        return Material(
            chosen,
            {name: self.features(name, clips, cache) for name, clips in chosen.items()},
            not_music_sampler(rows, parameters.frame_duration),
            parameters,
            {} if rooms is None else self.in_rooms(chosen, rooms, trained_on),
        )

    def samplers(self, chosen: Mapping[str, Sequence[Clip]], cache: FeatureCache) -> dict[str, WindowSampler]:
        """Return a sampler of windows for each data set's chosen clips, passing over sets without any."""
        duration = cache.frontend.parameters.frame_duration
        return {
            name: WindowSampler(clips, self.features(name, clips, cache), duration)
            for name, clips in chosen.items()
            if clips
        }

    def tracks(self, checkpoint: Checkpoint, chosen: Mapping[str, Sequence[Clip]], cache: FeatureCache) -> Tracks:
        """Return what a checkpoint says of clips at zero lag, showing progress.

        Parameters
        ----------
        checkpoint : Checkpoint
        chosen : mapping
            Clips by data set; sets without any are passed over.
        cache : FeatureCache

        Returns
        -------
        Tracks
        """
        clips = {name: list(some) for name, some in chosen.items() if some}
        rows = {name: self.features(name, some, cache) for name, some in clips.items()}
        with progress_bar(self.console) as progress:
            progress.add_task("estimating", total=None)
            material = Material(clips, rows, None, checkpoint.frontend.parameters)
            return material.tracks(checkpoint.network, lambda _: True)

    def measure(
        self,
        checkpoint: Checkpoint,
        held_out: Mapping[str, Sequence[Clip]],
        cache: FeatureCache,
        lag: int = 0,
        others: Mapping[str, Estimate] | None = None,
    ) -> list[Result]:
        """Measure a checkpoint on clips.

        The mean predictor says the mean of a data set's own development labels; where it has none, the mean that the
        checkpoint notes.

        Parameters
        ----------
        checkpoint : Checkpoint
        held_out : mapping
            Clips by data set; sets without any are passed over.
        cache : FeatureCache
        lag : int
            Frames that estimates come late.
        others : mapping, optional
            More predictors to measure in the same way, by name.

        Returns
        -------
        list of Result
        """
        results = []
        noted = np.array(checkpoint.training.get("label_mean", [0.0, 0.0]), dtype=np.float64)
        for name, clips in held_out.items():
            if not clips:
                continue
            own = label_mean([clip for clip in self.clips[name] if clip.part == DEVELOPMENT])
            results += evaluate(
                clips,
                self.features(name, clips, cache),
                checkpoint.estimate,
                checkpoint.history,
                checkpoint.frontend.parameters.frame_duration,
                noted if own is None else own,
                lag,
                others,
            )
        return results


def room_cache(
    folder: Path, frontend: Frontend, rooms: AirPath | AirPathOfEach | None, sound_font: Path, ear: Ear | None = None
) -> AlteredFeatureCache | None:
    """Return where the rows are kept of what is heard in rooms; None for no rooms.

    Parameters
    ----------
    folder, frontend, sound_font, ear
        As of `FeatureCache`.
    rooms : AirPath, AirPathOfEach or None
        One room, or those of each clip.
    """
    return (
        None
        if rooms is None
        else AlteredFeatureCache(folder, frontend, partial(ThroughAir, path=rooms), sound_font, ear)
    )


def training_frontend(notes: Mapping[str, FloatArray] | None = None) -> Frontend:
    """Return the frontend that new networks are trained with.

    Parameters
    ----------
    notes : mapping of str to ndarray, optional
        What chroma is to be heard with; see `training.note_file`.

    Raises
    ------
    MoodringError
        If librosa is missing.
    """
    try:
        return build_frontend(notes=notes)
    except ImportError as error:
        raise MoodringError("training needs librosa: install moodring[train]") from error


def progress_bar(console: Console) -> Progress:
    """Return a progress display with the time gone and the time left, which leaves no trace when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
