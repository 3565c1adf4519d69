"""The HTTP API: programs outside the site publish and control connections (protocol §8.1)."""
