"""Pruning: what to keep (scores), how many, exactly (masks), and how it is held (wrapper)."""
