"""What the first of several processes tells the others to train, as JSON and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.features import FeatureParameters
from model.network_parameters import NetworkParameters, parameters_from_json
from training.distributed import Group
from training.recipe import Recipe
from training.sampling import WindowSampler

_NOT_MUSIC = "not music:"
_MUSIC = "music:"


@dataclass(frozen=True)
class Job:
    """The arguments of `training.trainer.train` that all processes need.

    Attributes
    ----------
    samplers, features, network, recipe, seed, not_music
        As there.
    """

    samplers: Mapping[str, WindowSampler]
    features: FeatureParameters
    network: NetworkParameters
    recipe: Recipe
    seed: int
    not_music: WindowSampler | None

    def send(self, group: Group) -> None:
        """Give the job, with all its windows, from the first process to the others."""
        samplers = {f"{_MUSIC}{name}": sampler for name, sampler in self.samplers.items()}
        if self.not_music is not None:
            samplers[_NOT_MUSIC] = self.not_music
        notes = {
            "features": self.features.to_json(),
            "network": self.network.to_json(),
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "samplers": {name: sampler.has_signs for name, sampler in samplers.items()},
        }
        tensors = {
            f"{place}.{kind}": tensor
            for place, sampler in enumerate(samplers.values())
            for kind, tensor in sampler.tensors().items()
        }
        group.offer_job(True)
        group.share(notes, tensors)


def receive_job(group: Group) -> Job | None:
    """Wait for the first process's next job; None if there are no more."""
    if not group.wait_for_job():
        return None
    notes, tensors = group.share(None, {})
    samplers = {}
    for place, (name, has_signs) in enumerate(notes["samplers"].items()):
        own = {key.partition(".")[2]: value for key, value in tensors.items() if key.startswith(f"{place}.")}
        samplers[name] = WindowSampler.from_tensors(own, has_signs)
    not_music = samplers.pop(_NOT_MUSIC, None)
    features, network = parameters_from_json(notes)
    music = {name.removeprefix(_MUSIC): sampler for name, sampler in samplers.items()}
    return Job(music, features, network, Recipe(**notes["recipe"]), notes["seed"], not_music)
