"""What a replay knows of the clients that are connected now."""
