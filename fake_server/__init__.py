"""A ComfyUI server that computes nothing: it replays cassettes or makes up what a real one says.

PYTEST_DONT_REWRITE: imported as installed, see ``comfyrec.pytest_plugin``.
"""
