"""Right, and without an id of its own: it goes by the one that the server greets it with."""

from __future__ import annotations

import sys

from tests.comfyrec.check.specimens.right import Client, main


class GivenItsId(Client):
    own_id = False


if __name__ == "__main__":
    sys.exit(main(GivenItsId))
