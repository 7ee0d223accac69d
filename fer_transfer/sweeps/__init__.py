"""Sweeps: where their jobs run, and how these share a machine."""
