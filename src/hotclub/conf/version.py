"""The version of the distribution. The build reads it here with a pattern that allows no annotation."""

__version__ = "0.1.0"
