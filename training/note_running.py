"""What `moodring teach-notes` does, from a folder of music to a file."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console

from training.audio import SOUND_FONT
from training.ear_distillation import unlabelled_clips, unlabelled_notes
from training.feature_cache import ExtractorCache, default_folder
from training.note_file import write_notes
from training.note_teaching import TEACHER_SHA256, NoteLessons, NoteTeaching, check_teacher, teach_notes
from training.workspace import progress_bar


def run_note_teaching(
    unlabelled: Path,
    output: Path,
    *,
    settings: NoteTeaching | None = None,
    seed: int = 0,
    cache: Path | None = None,
    sound_font: Path | None = None,
    jobs: int = 1,
) -> None:
    """Teach a network to hear the notes of a frame, and write it.

    Raises
    ------
    MoodringError
        If the teacher or the music is missing, a file of it cannot be decoded, or the output cannot be written.
    """
    console, settings = Console(), settings or NoteTeaching()
    check_teacher()
    clips = unlabelled_clips(unlabelled)
    lessons = ExtractorCache(cache or default_folder(), NoteLessons(settings.excerpts), sound_font or SOUND_FONT)
    torch.set_num_threads(1)
    with progress_bar(console) as progress:
        heard = progress.add_task("what basic-pitch hears", total=len(clips))
        rows = lessons.load_all(clips, jobs, lambda count: progress.advance(heard, count))
        taught = progress.add_task("teaching notes", total=settings.steps)

        def stepped(step: int, loss: float) -> None:
            progress.update(taught, completed=step, description=f"teaching notes (loss {loss:.3f})")

        weights = teach_notes(rows, settings, seed, stepped)
    notes = {"teacher": TEACHER_SHA256, "settings": settings.to_json(), "seed": seed, **unlabelled_notes(clips)}
    write_notes(output, weights, notes)
    console.print(f"wrote {output}", soft_wrap=True, highlight=False, markup=False)
