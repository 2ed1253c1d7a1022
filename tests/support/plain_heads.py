"""Heads of requests as clients send them, which the fast path reads."""

HEADS = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /view?filename=a%20b.png&type=output HTTP/1.1\r\nHost: 127.0.0.1:8188\r\n"
    b"Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: Python aiohttp/3.14.5\r\n\r\n",
    b"POST /prompt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
    b"Content-Type: application/json\r\nConnection: keep-alive\r\n\r\n",
    b"POST /upload/image HTTP/1.1\r\nHost: [::1]:8188\r\nConnection: close\r\n"
    b"Content-Type: multipart/form-data; boundary=abc\r\nContent-Length: 10\r\n\r\n",
    b'HEAD /api/history/x HTTP/1.1\r\nHost: x\r\nIf-None-Match: "a-b"\r\nRange: bytes=0-1\r\n\r\n',
]
