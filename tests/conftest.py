"""One profile for every property test: a slow machine is no fault of the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("roomtone", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roomtone")
