"""Faults put in on purpose: damaged files against every view of a home, and the Nth write failing, by a seed."""
