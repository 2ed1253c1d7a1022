"""Stand-ins for what tells of people, machines and pictures.

``telling`` says what does, ``substitutes`` what stands there instead, ``pseudonymizer`` goes
through the records with ``http_messages``, ``ws_messages`` and ``media``.
"""
