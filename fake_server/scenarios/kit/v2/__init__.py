"""What scenarios of Comfy API v2 are made of."""
