"""A Django project for what the insecure mode of the conformance project leaves no room for: connections that expire,
channels that want a token, procedures, a connect hook, filters of streams, and pings every second."""
