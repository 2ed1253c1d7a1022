"""A client of Comfy API v2 without a network: what it asks, and what it makes of the answers."""
