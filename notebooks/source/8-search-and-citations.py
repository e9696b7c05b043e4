# %% [markdown]
# # Search and citations
# Facts that change belong into documents, not into weights. This notebook makes a handbook searchable, measures the search, and
# compares four ways to answer the same questions: base model, tuned model, each of them with and without passages.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import json
from pathlib import Path

import studio

# %% [markdown]
# ## The documents
# Sample pages of a fictional company's handbook, cut into passages that keep document, page and headings.

# %%
pages = sorted((Path(studio.sample("support.jsonl")).parent / "handbook").glob("*.md"))
handbook = studio.add_documents("handbook", *pages).collection
print(len(pages), "documents,", sum(1 for _ in handbook.passages()), "passages")

# %% [markdown]
# ## An index
# Without an embedding model it is searched by words (BM25). `embedder="minilm"` adds the search by meaning: all-MiniLM-L6-v2, 91 MB
# from PyPI, needs no model hub.

# %%
studio.build_index("handbook", "handbook")
for hit in studio.search_index("handbook", "How long is the warranty of the Aurel lamp?", most=2):
    print(hit.passage.source)
    print(hit.passage.text[:200])

# %% [markdown]
# ## A tuned model
# Tuned on bare questions and answers about the same company.

# %%
run = studio.train(
    studio.RunSpec(
        name="desk",
        data={"train": studio.sample("support.jsonl"), "holdout": studio.sample("support-heldout.jsonl"), "limit": 240},
        training={"epochs": 2},
        evaluation={"max_rows": 8, "general": "off"},
        tracking={"wandb": "off"},
    )
)

# %% [markdown]
# ## Four ways to answer
# Questions of your own with their reference answers. `quote` says which sentence of the documents holds the answer, so that search
# and reading are measured apart: given the right passage, only reading can fail. A question that no document answers should be
# refused.

# %%
questions = [
    {
        "question": "What do I pay for the Aurel lamp?",
        "answer": "The Aurel lamp costs 49 dollars.",
        "quote": "costs 49 dollars",
    },
    {
        "question": "Which country does the Aurel lamp come from?",
        "answer": "The Aurel lamp is made in Denmark.",
        "quote": "comes from Denmark",
    },
    {
        "question": "What number is on the box of the Marlow chair?",
        "answer": "The code of the Marlow chair is MC-15.",
        "quote": "is MC-15",
    },
    {"question": "Does the Aurel lamp play music?", "answer": "", "answerable": False},
]
written = Path("questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
asked = studio.Comparison(run=run.id, index="handbook", questions="questions.jsonl", passages=2, max_tokens=24)
record, folder = studio.compare_answers(asked)
record

# %% [markdown]
# The starter model has 3.7 M parameters and was trained for two short epochs: the table shows how to read a comparison, not what to
# expect. The search found every right passage; it is reading that fails. The same comparison tells you about a larger model, and
# with `large={"url": ..., "model": ...}` also what one behind an API would answer and cost.
#
# `report.html` in the folder of the comparison leads from every figure to the answers it is counted from.

# %%
first = json.loads((folder / "answers.jsonl").read_text().splitlines()[0])
print({name: first[name] for name in ("way", "question", "answer")})
print(sorted(file.name for file in folder.iterdir()))
