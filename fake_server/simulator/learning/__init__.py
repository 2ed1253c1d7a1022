"""Workflows -> the classes, model files and input files that a server needs to run them."""

from fake_server.simulator.learning.learner import Learner

__all__ = ["Learner"]
