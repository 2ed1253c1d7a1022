"""Recordings drawn for people and other tools: text for a terminal, a page, a diff, exports."""
