"""What holds for all tests."""

from hypothesis import HealthCheck, settings

from tests.support.lanes import PROFILE

# Nothing here is timed: a machine may be slow.
_UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fast", **_UNTIMED)
settings.register_profile("deep", max_examples=2_000, **_UNTIMED)
settings.load_profile(PROFILE)
