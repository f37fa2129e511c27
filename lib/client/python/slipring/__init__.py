"""Slipring for Python."""
