"""A language model as judge of answers: both orders of every pair, flips counted, and people to check it against."""
