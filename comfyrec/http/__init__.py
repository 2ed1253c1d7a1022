"""HTTP without a socket: requests taken apart, forms, dates, media types, ComfyUI's routes.

Everything that looks at a request, on either side of the wire or in a recording, reads it here.
Import the modules; this package itself loads nothing.
"""
