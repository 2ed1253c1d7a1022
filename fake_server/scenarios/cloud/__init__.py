"""Scenarios of Comfy Cloud's first API; each stands between its surface and the client."""
