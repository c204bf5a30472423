"""The live path: sources, framing, tracking, publishing, subscribing, and the command line.

The way of the data: ``Source`` (`audio_file`, `pipe`, `microphone`) → blocks → ``Framer`` (`framer`) → frames →
``Tracker`` (`tracker`) → estimates → ``Publisher`` (`publisher`) → ZeroMQ → ``Subscriber`` (`subscriber`).

`messages` and `subscriber` need only pyzmq and the standard library. This package imports ``model``, never
``training``.
"""
