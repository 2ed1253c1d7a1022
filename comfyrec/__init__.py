"""Record what a ComfyUI server says, play it back, or make it up.

Importing this package imports nothing else: pytest loads it in every run of every project that has
it installed. Take what you need from its rooms: ``comfyrec.events``, ``comfyrec.cassette``,
``comfyrec.client``, ``fake_server``.

PYTEST_DONT_REWRITE: imported as installed, see ``comfyrec.pytest_plugin``.
"""

__version__ = "0.1.0"
