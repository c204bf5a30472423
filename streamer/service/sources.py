"""Opens what a stream of the service hears."""

from __future__ import annotations

import sys
from collections.abc import Callable

from streamer.audio_file import AudioFile
from streamer.named_pipe import NamedPipe
from streamer.network_pcm import ConnectingPCM, ListeningPCM
from streamer.pipe import Pipe
from streamer.service.inputs import FifoInput, FileInput, Input, MicrophoneInput, StdinInput
from streamer.service.looped_file import LoopedFile
from streamer.source import Source
from streamer.tls import MutualTLS


def open_source(heard: Input, on_refused: Callable[[], None], tls: MutualTLS | None = None) -> Source:
    """Open what is to be heard.

    Parameters
    ----------
    heard : Input
        From the configuration.
    on_refused : callable
        Is called for each writer that is turned away.
    tls : MutualTLS, optional
        What connections are wrapped in, where the configuration asks for that.

    Returns
    -------
    Source

    Raises
    ------
    streamer.source.SourceError
        If it cannot be opened.
    """
    if isinstance(heard, MicrophoneInput):
        from streamer.microphone import Microphone, find_input_device

        return Microphone(find_input_device(heard.device))
    if isinstance(heard, FileInput):
        return LoopedFile(heard.path) if heard.loop else AudioFile(heard.path)
    if isinstance(heard, FifoInput):
        return NamedPipe(heard.path, heard.pcm, on_refused)
    if isinstance(heard, StdinInput):
        return Pipe(sys.stdin.buffer, heard.pcm.sample_rate, heard.pcm.channels, heard.pcm.sample_format)
    opened = ListeningPCM if heard.listens else ConnectingPCM
    return opened(heard.address.host, heard.address.port, heard.pcm, on_refused, tls)


def is_paced(heard: Input) -> bool:
    """Tell whether `LiveStream` has to wait until audio is due: neither a device nor a source of ours does."""
    return isinstance(heard, FileInput | StdinInput)


def can_be_opened_again(heard: Input) -> bool:
    """Tell whether it makes sense to try again after a failure: what is read once cannot be read from its beginning."""
    return not (isinstance(heard, StdinInput) or (isinstance(heard, FileInput) and not heard.loop))
