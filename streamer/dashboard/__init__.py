"""``moodring dashboard``: a web page that shows what a publisher sends. It is a subscriber like any other."""

from typing import Final

DEFAULT_PORT: Final = 8765
