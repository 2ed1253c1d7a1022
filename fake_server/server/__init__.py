"""The shell: sockets, time and threads around one source of behaviour."""
