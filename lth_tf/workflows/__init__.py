"""Workflows: what the binaries and Python users call, from beginning to end."""
