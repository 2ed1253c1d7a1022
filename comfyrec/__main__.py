"""``python -m comfyrec``."""

from comfyrec.cli import entry

if __name__ == "__main__":
    entry()
