"""(shell) Which certificates a client accepts."""

from __future__ import annotations

import ssl
from pathlib import Path

from comfyrec.errors import UsageError
from comfyrec.wording import reason

__all__ = ["context_for"]


def context_for(ca_file: Path | None, *, insecure: bool) -> ssl.SSLContext | bool:
    """``False`` accepts any certificate, ``True`` those that the system trusts.

    Raises:
        UsageError: the file holds no certificate.
    """
    if insecure:
        return False
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as wrong:
        why = "it holds no certificate" if isinstance(wrong, ssl.SSLError) else reason(wrong)
        raise UsageError(f"--ca-file {ca_file}: {why}; give certificates in PEM form") from None
