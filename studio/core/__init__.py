"""What every package uses: sections of settings, records, errors, files, text."""
