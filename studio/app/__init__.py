"""Use cases, one module a noun: what the command, the web studio and notebooks call."""
