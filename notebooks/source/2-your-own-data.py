# %% [markdown]
# # Your own data
# Real files are messy: a Windows encoding, semicolons, empty answers, rows that occur twice, questions with two answers.
# This notebook writes such a file, finds every problem with its line, and trains on what is left.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import json
from pathlib import Path

import studio
from studio import StudioError

# %% [markdown]
# ## A messy spreadsheet
# As Excel on Windows saves it: semicolons, Windows-1252, columns with names of their own.

# %%
rows = [json.loads(line) for line in Path(studio.sample("support.jsonl")).read_text().splitlines()[:120]]
lines = [f"{number};{row['question']};{row['answer']}" for number, row in enumerate(rows, 1)]
lines[10] = "11;How much is the café table?;"  # no answer
lines.append(lines[20])  # a row that occurs twice
lines.append(f"122;{rows[30]['question']};Please ask in the shop – we do not know.")  # a second answer to a question
written = Path("faq.csv").write_text("\r\n".join(["No;Kundenfrage;Antwort", *lines]), encoding="cp1252")

# %% [markdown]
# ## What is in it?
# If the columns are not clear, Studio asks instead of guessing; the hint shows the line to write.

# %%
try:
    studio.inspect("faq.csv")
except StudioError as error:
    print(error)

# %%
columns = {"question": "Kundenfrage", "answer": "Antwort"}
report = studio.inspect("faq.csv", columns=columns)
print("encoding: ", report.files[0].encoding)
print("rows:     ", report.totals.rows, "of which usable:", report.totals.usable)
for rejected in report.rejected.first:
    print("rejected: ", f"line {rejected.line}:", rejected.reason)
for warning in report.warnings:
    print("warning:  ", warning)

# %% [markdown]
# ## What the model will see
# One row through the same code that trains: the trained tokens are marked. Everything else is context.

# %%
spec = studio.RunSpec(
    name="own-data",
    data={"train": "faq.csv", "columns": columns, "holdout": 0.15, "system": "You answer customers of a furniture shop."},
    training={"epochs": 2},
    evaluation={"max_rows": 8, "general": "off"},
    tracking={"wandb": "off"},
)
row = studio.preview("faq.csv", spec=spec)[0]
print("".join(f"[{piece.text}]" if piece.trained else piece.text for piece in row.pieces))

# %% [markdown]
# ## Train, and keep account of every row
# The run folder lists what was rejected, what was removed as a duplicate and what was held out, each with file and line.

# %%
run = studio.train(spec)
data = run.folder.path / "data"
for name in ("train", "held-out", "rejected", "removed"):
    file = data / f"{name}.jsonl"
    print(f"{name:10}", len(file.read_text().splitlines()) if file.exists() else 0, "rows")

# %%
print((data / "removed.jsonl").read_text())

# %% [markdown]
# Sixty to a hundred rows teach a small model a manner, hardly facts; the report says what came of it. For your own model, name
# it: `model={"name": "Qwen/Qwen3-0.6B"}`, and look at `studio.plan(spec, gpu="RTX 3060")` first.

# %%
print(run.report.verdict.text)
