"""Replay of recorded tracks through the public API: read a file, play it on a clock, send what is due."""
