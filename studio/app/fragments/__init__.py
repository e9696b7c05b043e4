"""HTML fragments: pure functions from plain values to text. Every value that came from outside is escaped here."""
