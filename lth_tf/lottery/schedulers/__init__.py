"""Schedulers: which process runs which training of a plan, one file each."""
