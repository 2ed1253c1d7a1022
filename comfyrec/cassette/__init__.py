"""frames <-> records <-> bytes: the recording of a session, in two encodings.

``records`` is the schema, ``files`` opens cassettes on disk, ``redact`` takes secrets out.
"""
