"""``/api/assets``, ``/api/tags`` and ``/api/tasks``: the assets of a server, with assets on or off.

protocol.md, sections 10 and 12; recording ``assets`` of 0.33.0. Whether assets are on is a fact of
the version, ``assets_on``.
"""
