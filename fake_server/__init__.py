"""A ComfyUI server that computes nothing: it replays cassettes or makes up what a real one says."""
