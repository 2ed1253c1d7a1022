"""Make the pictures of docs/ with a headless Chromium: python docs/make_screenshots.py [NAME ...]

Each is of a bundled cassette. A picture that lacks what it should show is an error.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WAIT_MS = 4_000


class Picture(NamedTuple):
    """One picture: of which recordings, at which moment, and what has to be in it."""

    files: tuple[str, ...]
    link: str
    shows: tuple[str, ...]
    width: int = 1280
    height: int = 800


PICTURES = {
    "view-error": Picture(
        ("execution-error",),
        "#from=240000&to=283000&row=18&theme=light",
        ("GTBoom 3: ValueError: deliberate failure", "310f679b", "What the client knew"),
    ),
    "view-previews": Picture(
        ("fresh-run-previews",),
        "#row=25&theme=dark",
        ("preview", "KSampler 3", "What the client knew"),
    ),
    "view-narrow": Picture(
        ("two-clients",), "#row=12&theme=light", ("client-a", "client-b"), 400, 900
    ),
}


def main(names: list[str]) -> int:
    """Make these pictures, or all."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("no Chromium was found; 'apt-get install chromium' brings one", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        missing = [
            name
            for name in names or PICTURES
            if not _made(browser, name, PICTURES[name], Path(folder))
        ]
    return 1 if missing else 0


def _made(browser: str, name: str, picture: Picture, folder: Path) -> bool:
    page = folder / f"{name}.html"
    command = [sys.executable, "-m", "comfyrec", "view", *picture.files, "-o", str(page)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    address = f"{page.as_uri()}{picture.link}"
    size = f"--window-size={picture.width},{picture.height}"
    told = _run(browser, folder, size, "--dump-dom", address)
    lacking = [words for words in ("data-ready", *picture.shows) if words not in told]
    if lacking:
        print(f"{name}: the page does not show {', '.join(lacking)}", file=sys.stderr)
        return False
    file = DOCS / "images" / f"{name}.png"
    file.parent.mkdir(exist_ok=True)
    _run(browser, folder, size, "--hide-scrollbars", f"--screenshot={file}", address)
    print(f"{file.relative_to(DOCS.parent)}: {file.stat().st_size} bytes")
    return True


def _run(browser: str, folder: Path, *options: str) -> str:
    command = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
        f"--user-data-dir={folder / 'profile'}", f"--virtual-time-budget={WAIT_MS}", *options,
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return run.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
