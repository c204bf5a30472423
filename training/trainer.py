"""From windows of features to a trained network.

Training is on one thread and one seeded generator: on the same machine, with the same versions of the libraries, the
same data and the same seed, two runs give the same weights bit for bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.features import FeatureParameters
from model.network import EmotionNetwork, NetworkParameters
from training.augmentation import augment, splice
from training.distributed import Group
from training.global_batch import FEWEST_WINDOWS
from training.job import Job
from training.not_music import NOT_MUSIC
from training.objective import PAIRS, SIGNS, Objective, shared_state, spread_objective
from training.recipe import Recipe
from training.sampling import WindowSampler
from training.state import (
    State,
    finite_number,
    going_on,
    module_tensors,
    optimiser_tensors,
    read_state,
    restore_optimiser,
    restore_schedule,
    tensors_digest,
    whole_number,
    without_prefix,
    write_state,
)
from training.tables import DataError

_STANDARDISATION_ROUNDS = 10
"""The inputs' mean and standard deviation are taken from this many batches."""
STEPS_BETWEEN_STATES = 100
"""About five seconds of work are lost when a training is killed."""


def train(
    samplers: Mapping[str, WindowSampler],
    features: FeatureParameters,
    network: NetworkParameters,
    recipe: Recipe,
    seed: int = 0,
    stepped: Callable[[int, float], None] = lambda step, loss: None,
    state: Path | None = None,
    resume: bool = False,
    not_music: WindowSampler | None = None,
    group: Group | None = None,
) -> EmotionNetwork:
    """Train a network.

    Parameters
    ----------
    samplers : mapping
        Where windows come from, by the name of the data set.
    features : FeatureParameters
        Layout of the feature rows.
    network : NetworkParameters
        What to train.
    recipe : Recipe
        How.
    seed : int
        Everything random follows from it.
    stepped : callable
        Called after every step with its number, from 1, and its loss.
    state : Path, optional
        File in which the training's state is kept, every `STEPS_BETWEEN_STATES` steps.
    resume : bool
        Go on from `state` if it is there: the weights are those of a training that was not interrupted.
    not_music : WindowSampler, optional
        Windows of sounds that are not music: estimates of them shall be neutral and uncertain.
    group : Group, optional
        Processes that train together; all of them call this at the same time, with the same arguments, of which the
        first one's `state` and `resume` count for all.

    Returns
    -------
    EmotionNetwork
        In evaluation mode, on the CPU.

    Raises
    ------
    DataError
        If the recipe takes no windows from any of the data sets, all clips are shorter than the window, the state
        is of another training, or the processes are too many for the batch.
    """
    counts = {name: recipe.windows_per_step[name] for name in samplers if recipe.windows_per_step.get(name, 0) > 0}
    if not counts:
        raise DataError(f"nothing to train on: the recipe takes no windows from {', '.join(samplers) or 'nothing'}")
    if not_music is not None and recipe.not_music_windows > 0:
        samplers = {**samplers, NOT_MUSIC: not_music}
        counts[NOT_MUSIC] = recipe.not_music_windows
    if group is not None and sum(counts.values()) < FEWEST_WINDOWS * group.size:
        raise DataError(
            f"a batch of {sum(counts.values())} windows is too small for {group.size} processes; take "
            f"{max(1, sum(counts.values()) // FEWEST_WINDOWS)} at most"
        )
    if group is not None and group.rank == 0:
        music = {name: samplers[name] for name in counts if name != NOT_MUSIC}
        Job(music, features, network, recipe, seed, not_music).send(group)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)

    def draw(name: str, length: int) -> tuple[Tensor, Tensor]:
        sampler = samplers[name]
        # a stream that has heard less than it can remember has just begun
        histories, labels = (sampler.draw if length >= network.history else sampler.draw_beginnings)(
            counts[name], length, generator
        )
        augmented = augment(histories, features, recipe.equaliser, recipe.noise_share, generator)
        return splice(augmented, network.window, recipe.splice_share, generator), labels

    trained = EmotionNetwork(features, network)
    histories = []
    for name in [*counts] * _STANDARDISATION_ROUNDS:
        try:
            length = samplers[name].draw_length(network.window, network.history, generator)
        except ValueError as error:
            raise DataError(f"{name} is too short for the window: {error}; train with a shorter --window") from error
        histories.append(draw(name, length)[0])
    trained.set_standardisation(histories)
    initial_weights = tensors_digest(trained.state_dict())
    if group is not None:
        trained.to(group.device)
    optimiser = _optimiser(trained, recipe)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    averaged = copy.deepcopy(trained).eval()
    kinds = [NOT_MUSIC if name == NOT_MUSIC else SIGNS if samplers[name].has_signs else PAIRS for name in counts]

    trained.train()
    first = 0
    fingerprint = {
        "recipe": recipe.to_json(),
        "seed": seed,
        "data": {name: samplers[name].digest() for name in counts},
        "initial_weights": initial_weights,
    }
    kept = read_state(state) if resume and state is not None and state.is_file() else None
    if group is not None:
        kept = shared_state(group, kept)
    if kept is not None:
        if kept.notes.get("fingerprint") != fingerprint:
            raise DataError(f'"{state}" is from a training with other settings or clips; remove it to start again')
        with going_on(state or Path("STATE")):
            trained.load_state_dict(without_prefix("trained", kept.tensors))
            averaged.load_state_dict(without_prefix("averaged", kept.tensors))
            restore_optimiser(optimiser, kept.tensors)
            restore_schedule(schedule, kept.notes["schedule"])
            for parameters, rate in zip(optimiser.param_groups, kept.notes["rates"], strict=True):
                parameters["lr"] = finite_number(rate)
            torch.set_rng_state(kept.tensors["generator.torch"])
            generator.set_state(kept.tensors["generator.windows"])
            first = whole_number(kept.notes["steps"], 0, recipe.steps)
    objective: Callable[..., Tensor] = Objective(trained, kinds, recipe)
    if group is not None:
        objective = spread_objective(trained, kinds, recipe, group, list(counts.values()))
    for step in range(first, recipe.steps):
        drawn = [draw(name, length) for name, length in _lengths(samplers, counts, network, recipe, generator).items()]
        loss = objective([histories for histories, _ in drawn], [labels for _, labels in drawn])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        _average(averaged, trained, min(recipe.averaging, (step + 1) / (step + 10)))
        if state is not None and (step + 1) % STEPS_BETWEEN_STATES == 0:
            tensors = module_tensors("trained", trained) | module_tensors("averaged", averaged)
            tensors |= optimiser_tensors(optimiser)
            tensors |= {"generator.torch": torch.get_rng_state(), "generator.windows": generator.get_state()}
            notes = {
                "fingerprint": fingerprint,
                "steps": step + 1,
                "schedule": schedule.state_dict(),
                "rates": [parameters["lr"] for parameters in optimiser.param_groups],
            }
            write_state(state, State(tensors, notes))
        stepped(step + 1, loss.item())
    return averaged.cpu()


def _optimiser(network: EmotionNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    of_summary = [p for path in (network.summary, network.spread) if path is not None for p in path.parameters()]
    groups: list[dict[str, Any]] = []
    if network.crnn is not None:
        groups.append({"params": list(network.crnn.parameters()), "weight_decay": 0.0})
    if of_summary:
        groups.append({"params": of_summary, "lr": recipe.summary_rate, "weight_decay": recipe.weight_decay})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _lengths(
    samplers: Mapping[str, WindowSampler],
    names: Iterable[str],
    network: NetworkParameters,
    recipe: Recipe,
    generator: torch.Generator,
) -> dict[str, int]:
    short = bool(torch.rand(1, generator=generator) < recipe.short_share)
    if short and recipe.shortest_window < network.window:
        length = int(torch.randint(recipe.shortest_window, network.window, (1,), generator=generator))
        return dict.fromkeys(names, length)
    return {name: samplers[name].draw_length(network.window, network.history, generator) for name in names}


@torch.no_grad()
def _average(averaged: EmotionNetwork, trained: EmotionNetwork, kept: float) -> None:
    for old, new in zip(averaged.state_dict().values(), trained.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - kept)
        else:
            old.copy_(new)
