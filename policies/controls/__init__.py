"""The controls by family: each one small function that says pass, fail or undecided."""
