"""Figures, and every number that they show as points."""
