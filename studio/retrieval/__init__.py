"""Retrieval: passages embedded, indexed and searched, by words and by meaning."""
