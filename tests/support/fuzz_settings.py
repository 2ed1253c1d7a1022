"""How long the strategies are drawn from: a little in the fast lane, much in the deep one."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

from tests.support.lanes import DEEP

FUZZ = settings(
    max_examples=400 if DEEP else 25,
    database=None,
    derandomize=not DEEP,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

SEARCH = settings(
    max_examples=15,
    database=None,
    derandomize=True,
    # What the explaining phase finds is printed with a failure; here there is none to print.
    phases=(Phase.generate, Phase.shrink),
)
