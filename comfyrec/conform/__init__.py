"""Which ComfyUI is this? Harmless questions to a running server, each about one fact of versions.

``probes`` says what is asked and what the answer shows, ``verdict`` which generation the answers
fit, ``server`` carries the questions over the network.
"""
