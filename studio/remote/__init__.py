"""Clients of other models over OpenAI-compatible APIs: what teacher, judge, cascade and benchmark share."""
