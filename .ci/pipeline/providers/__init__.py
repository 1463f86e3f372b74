"""Providers of electricity, say: nothing to do with ours."""

WHOSE = "the program's own"
