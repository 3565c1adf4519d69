"""The version of the distribution; the build reads it here, and its pattern knows no annotation."""

__version__ = "0.1.0"
