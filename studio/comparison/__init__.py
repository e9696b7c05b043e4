"""The comparison: base, tuned, retrieval, both, and a large model by API, on the same held-out questions."""
