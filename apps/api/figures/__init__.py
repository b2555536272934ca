"""The live figures of every process of the stack, for who operates it."""
