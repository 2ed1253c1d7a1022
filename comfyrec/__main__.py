"""``comfyrec`` and ``python -m comfyrec``: nothing is loaded before Ctrl-C is looked out for."""

import sys

__all__ = ["entry"]


def entry() -> None:
    """The console script; it ends with 130 where it is interrupted, even while it still loads."""
    try:
        from comfyrec.cli import entry as run_command

        run_command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    entry()
