"""The folders of a server, and what stands in them: names, pictures, sound and video."""
