"""What `scripts/benchmarks/fuzz.py` consists of: targets that make and check hostile input, and what runs them.

A case is made of a seed, the target's name and a number, so that every one of them can be made again. It is bytes, for
each target: what was found is kept as a file and checked again from it.
"""
