"""Formats: a ticket as files that other programs read, one module per format."""
