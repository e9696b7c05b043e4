# pyright: reportOptionalMemberAccess=false
# %% [markdown]
# # Rows from documents
# A large model, the *teacher*, writes training rows from documents. Whole documents are held out before anything is asked, so
# that the small model can be measured on documents that no row was made from.
#
# Here the teacher is a program on this machine that knows the sample handbook, so the notebook needs no key and no network.

# %%
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import studio
from studio.making import canned

# %% [markdown]
# ## The documents
# The product and store pages of an invented company's handbook, cut into passages that keep their page, heading and offsets.

# %%
pages = Path(studio.sample("support.jsonl")).parent / "handbook"
handbook = studio.add_documents("handbook", *sorted(pages.glob("*.md"))).collection
passage = next(handbook.passages())
print(passage.source)
print(passage.text)

# %% [markdown]
# ## The recipe
# What is made, by which teacher. A YAML file says the same: `configs/recipes/documents.yaml`. The API key of a real teacher comes
# from an environment variable such as `OPENROUTER_API_KEY`, never from the recipe.

# %%
recipe = {
    "name": "Handbook",
    "documents": ["handbook"],
    "holdout": 0.2,
    "terms": "The teacher is a program of this project (Apache-2.0).",
    "context": "Text: {passage}\n{question}",
    "recipes": [
        {"kind": "questions", "per_passage": 6},
        {"kind": "unanswerable", "per_passage": 3, "answer": canned.REFUSAL},
        {"kind": "paraphrases", "registers": ["formal", "in passing", "in key words"]},
    ],
}

# %% [markdown]
# ## A plan with real samples
# Three answers are asked for, and from them the calls and the cost of all are reckoned. `ceiling` is what may be spent at most; a
# teacher on this machine costs nothing and needs none.

# %%
with canned.serve() as url:
    recipe["teacher"] = {"url": url, "model": canned.MODEL}
    plan = studio.plan_rows(recipe)
    print(f"{plan.plan.calls} requests, {plan.plan.cost_low:.2f} to {plan.plan.cost_high:.2f} USD")
    print("held out:", ", ".join(plan.plan.held_out_documents))
    for row in plan.plan.samples[0].rows[:3]:
        print("-", row.question, "→", row.answer)
    job = studio.make_rows(plan)
job

# %% [markdown]
# ## From requests to rows
# Every dropped row is there with the reason. A row knows its teacher, prompt, passage and quote.

# %%
report = job.report
print(f"{report.rows} rows, {report.held_out} held-out rows, {report.refusals} refusals, {report.dropped} dropped")
for figures in report.filters:
    if figures.dropped:
        print(f"{figures.name}: {figures.dropped} of {figures.entered}")
print(job.dropped[0].filter, "-", job.dropped[0].reason)

# %%
row = next(row for row in job.rows if row.quote)
origin = row.provenance
print(row.question, "→", row.answer)
print(f"quote {row.quote!r} in {origin.passages[0].document}, by {origin.served}, prompt {origin.prompt}")

# %% [markdown]
# ## Train and measure
# The rows are a dataset of the library, to be reviewed in the desk like any other. The rows of the held-out documents are what the
# run is measured on.

# %%
spec = studio.RunSpec(name="handbook", data={"train": job.dataset, "holdout": job.held_out}, tracking={"wandb": "off"})
print(job.dataset, job.held_out)
for line in studio.plan(spec).summary[:4]:
    print(line)
