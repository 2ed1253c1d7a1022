"""bytes <-> frames: HTTP/1.1 and WebSocket as they were on the wire, without a socket."""
