"""Base model against tuned model: metrics, intervals, verdict, evidence report."""
