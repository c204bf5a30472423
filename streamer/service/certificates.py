"""The certificates that a configuration names, and their reading again while the service runs."""

from __future__ import annotations

from streamer.service.configuration import Configuration
from streamer.service.inputs import TcpInput
from streamer.tls import Contexts, MutualTLS, TLSFiles


class Certificates:
    """All certificates and keys of a service that are for TLS, by their files.

    Parameters
    ----------
    configuration : Configuration
        Where they are named.

    Raises
    ------
    streamer.tls.TLSError
        If one of them cannot be used.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._ends = {files: MutualTLS(files) for files in _named(configuration)}

    def __getitem__(self, files: TLSFiles) -> MutualTLS:
        """Give what connections are wrapped in; it goes on being used when the files are read again."""
        return self._ends[files]

    def load(self, configuration: Configuration) -> dict[TLSFiles, tuple[MutualTLS, Contexts]]:
        """Read all files of another configuration, and change nothing.

        Parameters
        ----------
        configuration : Configuration
            The other one, or the same.

        Returns
        -------
        dict
            For `use`.

        Raises
        ------
        streamer.tls.TLSError
            If one of them cannot be used.
        """
        loaded = {}
        for files in _named(configuration):
            end = self._ends.get(files) or MutualTLS(files)
            loaded[files] = end, end.load()
        return loaded

    def use(self, loaded: dict[TLSFiles, tuple[MutualTLS, Contexts]]) -> None:
        """Use what was read for connections that begin from now on.

        Parameters
        ----------
        loaded : dict
            From `load`.
        """
        for files, (end, contexts) in loaded.items():
            end.use(contexts)
            self._ends[files] = end


def _named(configuration: Configuration) -> set[TLSFiles]:
    named = {stream.input.tls for stream in configuration.streams.values() if isinstance(stream.input, TcpInput)}
    return {files for files in (*named, configuration.process.http_tls) if files is not None}
