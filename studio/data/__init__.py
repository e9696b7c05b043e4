"""Reading, format detection, checks, split, rendering, encoding."""
