"""The version of resque-fork, also the one in process titles."""

__version__ = "0.1.0"
