"""Everything that starts, names, watches, stops or talks to processes, and the locks they hold.

It stands on the standard library and `core` alone: the toolchains' own environments import it too.
"""
