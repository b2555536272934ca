"""Runs a stack on this machine: resources made, services started, listener rules served."""

from __future__ import annotations
