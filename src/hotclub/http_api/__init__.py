"""The HTTP API: publishing and control for programs that are no part of the site (protocol §8.1)."""
