"""The OpenAI-compatible server and its engines."""
