"""The `studio` command: parses and shows; every deed is a call of `studio.app`."""
