"""Starting, identifying, watching and stopping processes; locks.

It stands on the standard library and `core` alone: the toolchains' own environments import it too.
"""
