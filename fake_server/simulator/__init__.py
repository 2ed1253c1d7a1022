"""The queue, the cache and the execution of prompts, frame by frame, as ComfyUI does them."""
