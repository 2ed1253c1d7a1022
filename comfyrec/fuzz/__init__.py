"""Fuzz a client in any language: draw runs, let the client do them, judge, shrink, keep.

``lines`` is the protocol that a long-lived client speaks on its standard input and output
(docs/fuzzing.md), ``adapter`` speaks it for a client in Python.
"""
