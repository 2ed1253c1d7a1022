from comfyrec.events import Progress, decode


def percent(message: str | bytes) -> float | None:
    event = decode(message)  # as your websocket library hands it out
    if isinstance(event, Progress):
        value, most = event.data.value, event.data.max  # None where a server left them out
        return 100 * value / most if value is not None and most else None
    return None


def test_percent():
    message = '{"type": "progress", "data": {"value": 5, "max": 20, "node": "3"}}'

    assert percent(message) == 25
