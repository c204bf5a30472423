"""From labelled music to a checkpoint: data sets, feature cache, trainer and evaluation.

Imports ``model``, never ``streamer``. What needs librosa or fluidsynth lives here, so that neither is wanted for
listening.
"""
