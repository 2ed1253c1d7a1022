"""Whether a web page of another origin asks, by what browsers say of themselves."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_foreign", "names_an_address"]


def is_foreign(host: str, origin: str, site: str) -> bool:
    """Whether a web page of another origin asks; what is not a browser says nothing and is not.

    A browser must also have reached the server by an address or as localhost. A page can have its
    own name lead to this machine, and is then of the same origin as the server.

    Args:
        host: the ``Host`` field.
        origin: the ``Origin`` field, or empty.
        site: the ``Sec-Fetch-Site`` field, or empty.
    """
    if not origin and not site:
        return False
    if site and site not in ("same-origin", "none"):
        return True
    if origin and urlsplit(origin.lower()).netloc != host.lower():
        return True
    return not names_an_address(host)


def names_an_address(host: str) -> bool:
    """Whether a ``Host`` field has an IP address, or localhost, and no name that may lead here."""
    try:
        name = urlsplit(f"//{host.lower()}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
