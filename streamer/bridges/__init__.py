"""Bridges to lights, stages and programs: a mapping, an engine that follows it, and one sender for each protocol.

``BRIDGES.md`` is for their users.
"""
