"""What the numbers mean: features of a 500 ms frame, the CRNN, and its checkpoint.

Conventions
-----------
frame
    0.5 s of mono audio at the checkpoint's sample rate; frames do not overlap.
window
    the last 10 to 20 frames, oldest first: what the network hears at once.
valence, arousal
    in [-1, 1]; wherever the two stand in one array, valence comes first.

This package imports neither ``streamer`` nor ``training``.
"""
