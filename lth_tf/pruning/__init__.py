"""Pruning: which weights can go (kernels), which stay (criteria), how many, exactly (masks).

Masks are held by tfmot's wrapper (wrapper), and a smaller network is made of them (compaction).
"""
