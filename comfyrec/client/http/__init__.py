"""HTTP of a client without a socket: what it asks for, and what the responses say."""
