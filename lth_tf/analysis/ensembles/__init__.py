"""Ensembles of tickets: how good their votes are."""
