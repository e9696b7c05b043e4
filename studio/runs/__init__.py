"""Run folders, their status, and the processes that work on them."""
