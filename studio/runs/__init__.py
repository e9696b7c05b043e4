"""Run folders, status, events and the queue."""
