"""Words in names of columns that tell what a column may be, the surest first."""

from __future__ import annotations

from studio.data.columns import words

ANSWERS = words(
    """answer answers response output outputs completion reply chosen target label labels summary highlights
    translation solution resolution category class snippet intent sentiment sql code rating stars score topic genre emotion
    antwort respuesta réponse reponse risposta resposta lösung loesung solucion corrected correction rewrite paraphrase
    abstract tldr text"""
)
"""Words of columns that may be an answer, the surest first."""
QUESTIONS = words(
    """question query prompt instruction input ask request problem inquiry enquiry issue complaint message
    description source frage anfrage pregunta text
    sentence review document article dialogue dialog passage content body title subject hypothesis sentence1
    premise utterance post comment tweet email"""
)
"""Words of columns that may be a question, the surest first."""
CONTEXTS = words("""context passage background premise document article story paragraph""")
FINAL = frozenset(words("""final finished published approved corrected revised edited best"""))
"""Words of a column that holds what became of what another one holds."""
