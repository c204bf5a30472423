"""The convolutional recurrent network of Malik et al. 2017, section 2.2 and figure 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from model.network_parameters import CRNNParameters as CRNNParameters


class MemberLinear(nn.Module):
    """A linear layer per member of an ensemble.

    Parameters
    ----------
    members : int
        How many.
    inputs, outputs : int
        Sizes of each.
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Map shape (batch, time, members, inputs) to (batch, time, members, outputs)."""
        return torch.einsum("btmi,mio->btmo", x, self.weight) + self.bias


class WindowDropout(nn.Module):
    """Dropout that drops the same activations in all frames of a window (Gal & Ghahramani 2016).

    A mask per frame would be averaged out by the recurrence and by the readout, and take longer to draw.

    Parameters
    ----------
    share : float
        Probability with which an activation is dropped.
    time_axis : int
        Axis of the input that the mask is constant along.
    """

    def __init__(self, share: float, time_axis: int) -> None:
        super().__init__()
        self.share = share
        self.time_axis = time_axis

    def forward(self, x: Tensor) -> Tensor:
        """Drop activations in training; return the input otherwise."""
        if not self.training or self.share == 0:
            return x
        shape = list(x.shape)
        shape[self.time_axis] = 1
        kept = 1 - self.share
        return x * torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(kept).div_(kept)


class PathDropout(nn.Module):
    """Dropout of a whole path for a share of the windows (stochastic depth, Huang et al. 2016).

    Parameters
    ----------
    share : float
        Probability with which a window's path is left out.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, scores: Tensor, windows: Tensor, path: Callable[[Tensor], Tensor]) -> Tensor:
        """Add what the path says of the windows that it is kept for to their scores, in place."""
        kept = torch.rand(len(scores)) >= self.share
        if kept.any():
            scores[kept] += path(windows[kept]) / (1 - self.share)
        return scores


class Branch(nn.Module):
    """What follows the convolution for one of the two dimensions, or for both: linear, bidirectional GRU, maxout.

    The members' recurrences run as one GRU whose matrices are zero between members: at these sizes the calls cost
    the time, not the products.
    """

    def __init__(self, inputs: int, parameters: CRNNParameters, members: int, outputs: int) -> None:
        super().__init__()
        p = parameters
        self.outputs = outputs
        self.members = members
        widths = [inputs] + [p.fc_units] * p.fc_layers
        self.fc = nn.Sequential(*(MemberLinear(members, i, o) for i, o in pairwise(widths)))
        self.gru = nn.GRU(
            members * p.fc_units,
            members * p.gru_units,
            num_layers=p.gru_layers,
            batch_first=True,
            bidirectional=True,
        )
        self.dropout = WindowDropout(p.dropout, time_axis=1)
        self.maxout = MemberLinear(members, 2 * p.gru_units, outputs * p.maxout_pieces)
        if members > 1 and not self.maxout.weight.is_meta:
            self._separate_members(p.gru_units)

    def forward(self, x: Tensor) -> Tensor:
        """Map shape (batch, time, members, inputs) to (batch, time, members, outputs)."""
        hidden, _ = self.gru(self.dropout(self.fc(x)).flatten(start_dim=2))
        batch, time = x.shape[:2]
        by_member = hidden.reshape(batch, time, 2, self.members, -1).transpose(2, 3).flatten(start_dim=3)
        pieces: Tensor = self.maxout(self.dropout(by_member))
        return pieces.reshape(batch, time, self.members, self.outputs, -1).amax(dim=-1)

    def _separate_members(self, units: int) -> None:
        bound = units**-0.5
        for name, parameter in self.gru.named_parameters():
            with torch.no_grad():
                parameter.uniform_(-bound, bound)
                if not name.startswith("weight"):
                    continue
                rows, columns = parameter.shape
                # rows: three gates; columns: the layer before, of which a bidirectional one has two halves
                half = columns // 2 if name.startswith("weight_ih") and not name.startswith("weight_ih_l0") else columns
                member_of_row = torch.arange(rows) % (rows // 3) // (rows // 3 // self.members)
                member_of_column = torch.arange(columns) % half // (half // self.members)
                mask = (member_of_row[:, None] == member_of_column).to(parameter.dtype)
                parameter.mul_(mask)
            # what starts at zero and has no gradient stays zero
            parameter.register_hook(partial(_masked, mask))  # type: ignore[no-untyped-call]  # torch does not annotate


def _masked(mask: Tensor, gradient: Tensor) -> Tensor:
    # the parameter may have been moved since
    return mask.to(gradient.device).mul(gradient)


class CRNN(nn.Module):
    """Convolution over time and features, then a branch for valence and one for arousal, or one for both.

    The paper leaves the output unbounded; here tanh keeps it in [-1, 1], where labels live.

    Parameters
    ----------
    input_columns : int
        Inputs per frame.
    parameters : CRNNParameters
        The other sizes.
    planes : int
        Planes of equal size, side by side in the inputs, that the convolution sees one behind the other.
    beside : int
        How many of the last inputs go past the convolution, straight to the linear layers.
    members : int
        Networks of this kind, each with weights of its own, that run side by side.
    """

    def __init__(
        self,
        input_columns: int,
        parameters: CRNNParameters,
        planes: int = 1,
        beside: int = 0,
        members: int = 1,
    ) -> None:
        super().__init__()
        self.planes = planes
        self.width = (input_columns - beside) // planes
        self.members = members
        filters = members * parameters.conv_filters
        layers: list[nn.Module] = []
        for layer in range(parameters.conv_layers):
            layers += [
                nn.Conv2d(
                    filters if layer else planes,
                    filters,
                    parameters.conv_kernel,
                    padding="same",
                    groups=members if layer else 1,
                ),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
                WindowDropout(parameters.dropout, time_axis=2),
            ]
        self.conv = nn.Sequential(*layers)
        rows = parameters.conv_filters * self.width + beside
        if parameters.branches == 2:
            self.valence = Branch(rows, parameters, members, outputs=1)
            self.arousal = Branch(rows, parameters, members, outputs=1)
        else:
            self.both = Branch(rows, parameters, members, outputs=2)

    def branches(self) -> list[Branch]:
        """Return the branch of valence and that of arousal, or the only one."""
        return [self.valence, self.arousal] if hasattr(self, "valence") else [self.both]

    def forward(self, x: Tensor) -> Tensor:
        """Run the networks.

        Parameters
        ----------
        x : Tensor, shape (batch, time, input_columns)
            Standardised inputs of consecutive frames.

        Returns
        -------
        Tensor, shape (batch, time, members, 2)
            Every member's valence and arousal of every frame, in [-1, 1].
        """
        return torch.tanh(self.scores(x))

    def scores(self, x: Tensor) -> Tensor:
        """Return what `forward` does before tanh bounds it."""
        batch, time = x.shape[:2]
        seen = self.planes * self.width
        planes = self.conv(x[..., :seen].reshape(batch, time, self.planes, self.width).transpose(1, 2))
        rows = planes.transpose(1, 2).reshape(batch, time, self.members, -1)
        if seen < x.shape[-1]:
            past = x[..., seen:].unsqueeze(2).expand(-1, -1, self.members, -1)
            rows = torch.cat([rows, past], dim=-1)
        return torch.cat([branch(rows) for branch in self.branches()], dim=-1)
