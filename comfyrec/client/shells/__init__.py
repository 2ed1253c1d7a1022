"""The client over real sockets: asyncio, blocking, streams, tasks, middleware, printer."""
