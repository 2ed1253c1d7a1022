"""Scenarios of Comfy API v2; each stands between its surface and the client."""
