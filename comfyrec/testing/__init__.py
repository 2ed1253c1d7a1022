"""What the pytest fixtures are made of: the handle, recording in tests, the network block.

Imported when a test first asks for a fixture, never at the start of a pytest run.
"""
