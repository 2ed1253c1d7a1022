"""What a replay knows of the recording, computed once."""
