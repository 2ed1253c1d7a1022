"""Other APIs over the same simulated server.

A package in here with a ``SURFACE`` is one that ``--surface`` takes; ``registry`` finds it.
"""
