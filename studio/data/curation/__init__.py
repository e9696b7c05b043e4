"""Curation: datasets in numbered versions, edits that mend rows without changing them, and what differs between versions."""
