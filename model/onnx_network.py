"""A network's function arranged anew for ONNX Runtime, where beginning an operator takes longer than computing it.

What is linear becomes one product: standardisations, the layers between convolution and recurrence, the paths of the
summary and of the spread, and both branches and all members beside each other. The harmony of the window and that of
the memory are computed together. The numbers are those of `model.network.EmotionNetwork` but for rounding.
"""

from __future__ import annotations

import copy
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.crnn import CRNN, Branch, MemberLinear
from model.network import EmotionNetwork
from model.summary import LARGEST_DEVIATION, SMALLEST_VARIANCE


class ArrangedNetwork(nn.Module):
    """What a network says of all frames of a window, and of its spread.

    Parameters
    ----------
    network : EmotionNetwork
        In evaluation mode.
    """

    def __init__(self, network: EmotionNetwork) -> None:
        super().__init__()
        self.network = network
        p = network.network_parameters
        self._first_of_ear = network.feature_parameters.feature_count
        self._with_harmony = "harmony" in p.columns
        heard = len(network.standardisation.mean) - p.ear_columns
        self.register_buffer("scale", 1 / network.standardisation.std[:heard])
        self.register_buffer("shift", -network.standardisation.mean[:heard] * self.scale)
        self.register_buffer("mean_of_members", torch.eye(2).repeat(1, p.members) / p.members)
        self.scale: Tensor
        self.shift: Tensor
        self.mean_of_members: Tensor
        self.crnn: _ArrangedCRNN | None = None
        if network.crnn is not None and p.crnn is not None:
            self.crnn = _ArrangedCRNN(network.crnn, p.crnn.conv_filters)
        self.paths = None if network.summary is None else _ArrangedPaths(network)

    def forward(self, history: Tensor, window: Tensor | None = None) -> tuple[Tensor, ...]:
        """Estimate.

        Parameters
        ----------
        history : Tensor, shape (streams, frames, feature_count + ear_columns)
            Up to `NetworkParameters.history` frames, oldest first.
        window : Tensor, shape (streams, heard, feature_count + ear_columns), optional
            Earlier frames that are to be estimated as well, up to `NetworkParameters.window`; not without a CRNN.

        Returns
        -------
        tuple of Tensor
            Valence and arousal of the newest frames, up to `NetworkParameters.window`, shape (streams, heard, 2), or
            without a CRNN of all of them together, shape (streams, 1, 2); standard deviations, shape (streams, 2), if
            there is a spread; the estimates of `window`, if it is given.
        """
        newest = history[:, -self.network.network_parameters.window :]
        harmony, remembered = self._harmony_and_memory(newest, history)
        heard = self._standardised(newest, harmony)
        scores, stds = None, []
        if self.paths is not None:
            scores, log_stds = self.paths(heard, newest[..., self._first_of_ear :], remembered)
            stds = [self.network.spread.stds_of(log_stds)] if self.network.spread is not None else []
        outputs = [self._estimates(heard, scores), *stds]
        if window is not None:
            harmony = [self.network.harmony(self._chroma(window))] if self._with_harmony else []
            outputs.append(self._estimates(self._standardised(window, harmony), scores))
        return tuple(outputs)

    def _harmony_and_memory(self, newest: Tensor, history: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Return the harmony of the newest frames, if any, and what is remembered of all of them, if anything is."""
        memory = self.network.network_parameters.memory
        harmony = self.network.harmony
        ear = history[..., self._first_of_ear :]
        if not self._with_harmony:
            return [], ear if memory else None
        if not memory:
            return [harmony(self._chroma(newest))], None
        profiles = [harmony.profiles(self._chroma(rows)) for rows in (newest, history)]
        both = harmony.columns_of(torch.cat(profiles, dim=1))
        frames = newest.shape[1]
        return [both[:, :frames]], torch.cat([both[:, frames:], ear], dim=-1)

    def _chroma(self, rows: Tensor) -> Tensor:
        return rows[..., self.network.feature_parameters.columns["logchroma"]]

    def _standardised(self, window: Tensor, harmony: list[Tensor]) -> Tensor:
        return torch.cat([*self.network.spectra(window), *harmony], dim=-1) * self.scale + self.shift

    def _estimates(self, heard: Tensor, scores: Tensor | None) -> Tensor:
        if self.crnn is None:
            assert scores is not None
            of_members = scores.unsqueeze(0)
        else:
            of_members = self.crnn(heard)
            if scores is not None:
                of_members = of_members + scores
        return functional.linear(torch.tanh(of_members), self.mean_of_members).transpose(0, 1)


class _ArrangedPaths(nn.Module):
    """From statistics to the summary's scores, and to the logarithms from which the spread makes standard deviations.

    The first product is that of the statistics with the linear path and with all hidden layers; the second, that of
    the hidden layers with what follows each of them.
    """

    def __init__(self, network: EmotionNetwork) -> None:
        super().__init__()
        assert network.summary is not None
        p, summary, spread = network.network_parameters, network.summary, network.spread
        mean, std = network.standardisation.mean, network.standardisation.std
        columns = len(mean)
        heard = columns - p.ear_columns
        first = network.spectral_columns
        remembered = columns - first if p.memory else 0
        # the means of the window and of what is remembered, and then the deviations of both
        means = torch.cat([torch.arange(columns), columns + heard + torch.arange(remembered)])
        deviations = columns + torch.cat([torch.arange(heard), heard + remembered + torch.arange(remembered)])
        order = torch.cat([means, deviations])
        # what the CRNN hears is standardised already
        centre = torch.cat([torch.zeros(heard), mean[heard:], mean[first : first + remembered]])
        width = torch.cat([torch.ones(heard), std[heard:], std[first : first + remembered]])
        of_statistics = network.statistics_standardisation
        scale = torch.cat([1 / width, torch.ones(len(deviations))]) / of_statistics.std[order]
        shift = -torch.cat([centre / width, torch.zeros(len(deviations))]) / of_statistics.std[order]
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift - of_statistics.mean[order] / of_statistics.std[order])
        self.register_buffer("variance_scale", 1 / std[first : first + remembered] ** 2)
        self.scores = 2 * p.members
        weights, biases = [_beside(summary.linear.weight)], [summary.linear.bias.flatten()]
        following = [torch.zeros(0, self.scores)]
        following_biases = [torch.zeros(self.scores)]
        if summary.hidden is not None and summary.output is not None:
            weights.append(_beside(summary.hidden.weight))
            biases.append(summary.hidden.bias.flatten())
            following = [_blocks(*summary.output.weight)]
            following_biases = [summary.output.bias.flatten()]
        if spread is not None:
            weights.append(spread.hidden.weight.T)
            biases.append(spread.hidden.bias)
            following.append(spread.output.weight.T)
            following_biases.append(spread.output.bias)
        self.register_buffer("weight", torch.cat(weights, dim=1)[order].T.detach())
        self.register_buffer("bias", torch.cat(biases).detach())
        self.register_buffer("following_weight", _blocks(*following).T.detach())
        self.register_buffer("following_bias", torch.cat(following_biases).detach())
        self.scale: Tensor
        self.shift: Tensor
        self.variance_scale: Tensor
        self.weight: Tensor
        self.bias: Tensor
        self.following_weight: Tensor
        self.following_bias: Tensor

    def forward(self, heard: Tensor, ear: Tensor, remembered: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return scores, shape (streams, 2 x members), and logarithms, shape (streams, 2 or 0)."""
        mean, variance = _moments(heard)
        means, variances = [mean], [variance]
        if ear.shape[-1]:
            means.append(ear.mean(dim=1, keepdim=True))
        if remembered is not None:
            mean, variance = _moments(remembered)
            means.append(mean)
            variances.append(variance * self.variance_scale)
        deviations = torch.sqrt(torch.cat(variances, dim=-1) + SMALLEST_VARIANCE)
        statistics = torch.cat([*means, deviations], dim=-1) * self.scale + self.shift
        seen = statistics[:, 0].clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION)
        layers = functional.linear(seen, self.weight, self.bias)
        scores = layers[:, : self.scores]
        if not self.following_weight.shape[1]:
            return scores, scores[:, :0]
        following = functional.linear(torch.relu(layers[:, self.scores :]), self.following_weight, self.following_bias)
        return scores + following[:, : self.scores], following[:, self.scores :]


class _ArrangedCRNN(nn.Module):
    """From standardised inputs, shape (streams, frames, columns), to scores, shape (frames, streams, 2 x members)."""

    def __init__(self, crnn: CRNN, filters: int) -> None:
        super().__init__()
        self.members = crnn.members
        self.width = crnn.width
        self._seen = crnn.planes * crnn.width
        # along bands first and then along time, so that what follows finds the bands of all filters in one row
        self.conv = _turned(crnn.conv)
        branches = crnn.branches()
        layers = [_whole(branch, member) for member in range(crnn.members) for branch in branches]
        weight = torch.cat([weight for weight, _ in layers])
        self._convolved = filters * crnn.width
        self.weights = nn.ParameterList(weight[:, : self._convolved].detach().chunk(crnn.members))
        self.register_buffer("weight_beside", weight[:, self._convolved :].detach())
        self.register_buffer("bias", torch.cat([bias for _, bias in layers]).detach())
        self.gru = _one_gru(branches)
        maxout = _maxout(branches)
        self.register_buffer("maxout_weight", maxout[0].flatten(0, 1).detach())
        self.register_buffer("maxout_bias", maxout[1].flatten().detach())
        self.weight_beside: Tensor
        self.bias: Tensor
        self.maxout_weight: Tensor
        self.maxout_bias: Tensor

    def forward(self, heard: Tensor) -> Tensor:
        """Run convolution, linear layers, recurrence and maxout."""
        spectra = heard[..., : self._seen].transpose(1, 2)
        planes = torch.stack(torch.split(spectra, self.width, dim=1), dim=1)
        bands = self.conv(planes).flatten(start_dim=1, end_dim=2)
        of_members = torch.split(bands, self._convolved, dim=1)
        rows = [weight @ part for weight, part in zip(self.weights, of_members, strict=True)]
        units = torch.cat(rows, dim=1).permute(2, 0, 1) + self.bias
        if self.weight_beside.shape[1]:
            units = units + functional.linear(heard[..., self._seen :].transpose(0, 1), self.weight_beside)
        hidden, _ = self.gru(units)
        pieces = functional.linear(hidden, self.maxout_weight, self.maxout_bias)
        return reduce(torch.maximum, torch.split(pieces, 2 * self.members, dim=-1))


def _moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    mean = inputs.mean(dim=1, keepdim=True)
    from_mean = inputs - mean
    return mean, (from_mean * from_mean).mean(dim=1, keepdim=True)


def _turned(conv: nn.Sequential) -> nn.Sequential:
    turned = copy.deepcopy(conv)
    for layer in turned:
        if isinstance(layer, nn.Conv2d):
            layer.weight = nn.Parameter(layer.weight.detach().transpose(2, 3).contiguous())
    return turned


def _blocks(*parts: Tensor) -> Tensor:
    """Return one matrix with these along its diagonal, and zeros elsewhere."""
    matrix: Tensor = torch.block_diag(*parts)  # type: ignore[no-untyped-call]  # torch does not annotate
    return matrix


def _beside(weight: Tensor) -> Tensor:
    """Put the members' matrices, shape (members, inputs, outputs), beside each other."""
    return weight.transpose(0, 1).flatten(start_dim=1)


def _whole(branch: Branch, member: int) -> tuple[Tensor, Tensor]:
    """Multiply a member's linear layers, between which there is nothing: weight (outputs, inputs) and bias."""
    layers = [(layer.weight[member], layer.bias[member]) for layer in branch.fc if isinstance(layer, MemberLinear)]
    weight, bias = layers[0]
    for next_weight, next_bias in layers[1:]:
        weight, bias = weight @ next_weight, bias @ next_weight + next_bias
    return weight.T, bias


def _one_gru(branches: list[Branch]) -> nn.GRU:
    """Make one recurrence of those of the branches: its matrices are zero between them, as they are between members.

    Its inputs are each member's branches' units; its units, each branch's members'.
    """
    members, count, part = branches[0].members, len(branches), branches[0].gru
    whole = nn.GRU(count * part.input_size, count * part.hidden_size, part.num_layers, bidirectional=True).eval()
    inputs = torch.arange(count * part.input_size).reshape(members, count, -1).transpose(0, 1).flatten(start_dim=1)
    units = torch.arange(count * part.hidden_size).reshape(count, -1)
    with torch.no_grad():
        for name, parameter in whole.named_parameters():
            parameter.zero_()
            for number, branch in enumerate(branches):
                rows = torch.cat([gate * whole.hidden_size + units[number] for gate in range(3)])
                values = getattr(branch.gru, name)
                if name.startswith("bias"):
                    parameter[rows] = values
                    continue
                columns = units[number]
                if name.startswith("weight_ih_l0"):
                    columns = inputs[number]
                elif name.startswith("weight_ih"):
                    columns = torch.cat([columns, whole.hidden_size + columns])
                parameter[rows[:, None], columns] = values
    return whole


def _maxout(branches: list[Branch]) -> tuple[Tensor, Tensor]:
    """Return the maxout layers as one: weight (pieces, 2 x members, units) and bias (pieces, 2 x members)."""
    members, count, outputs = branches[0].members, len(branches), branches[0].outputs
    units = branches[0].gru.hidden_size // members
    pieces = branches[0].maxout.bias.shape[1] // outputs
    weight = torch.zeros(pieces, members, count, outputs, 2, count, members, units)
    bias = torch.zeros(pieces, members, count, outputs)
    for number, branch in enumerate(branches):
        for member in range(members):
            of_member = branch.maxout.weight[member].detach().reshape(2, units, outputs, pieces)
            weight[:, member, number, :, :, number, member] = of_member.permute(3, 2, 0, 1)
            bias[:, member, number] = branch.maxout.bias[member].detach().reshape(outputs, pieces).T
    return weight.reshape(pieces, 2 * members, -1), bias.reshape(pieces, 2 * members)
