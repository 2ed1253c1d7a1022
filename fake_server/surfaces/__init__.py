"""Other APIs over the same simulated server."""
