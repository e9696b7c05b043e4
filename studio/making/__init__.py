"""Making rows: documents, questions, tools and labels → training rows by a teacher model, filtered, with provenance."""
