"""ComfyUI's HTTP routes over one simulated server, and the middleware before them."""
