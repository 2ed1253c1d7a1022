"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# Nothing here is timed: a machine may be slow.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
