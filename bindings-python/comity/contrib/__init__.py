"""Hooks for servers and workers whose processes end in their own ways: see `docs/python.md`."""
