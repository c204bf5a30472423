"""``moodring doctor``: what works on this machine, in words that somebody on a stage can act on."""
