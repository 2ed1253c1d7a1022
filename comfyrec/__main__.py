"""``comfyrec`` and ``python -m comfyrec``: nothing is loaded before Ctrl-C is looked out for."""

import sys

__all__ = ["entry"]


def entry() -> None:
    """The console script; it ends with 130 where it is interrupted, even while it still loads."""
    try:
        import os
        import signal

        usual = signal.getsignal(signal.SIGINT)
        if usual is signal.default_int_handler:
            # Extension modules were seen to crash when an exception comes while they load. Nothing
            # has to be put in order before a command runs.
            signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        from comfyrec.cli import entry as run_command

        run_command(loaded=lambda: signal.signal(signal.SIGINT, usual))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    entry()
