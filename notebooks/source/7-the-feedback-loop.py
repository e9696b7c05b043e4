# %% [markdown]
# # The feedback loop
# A served model is rated and corrected by the people who use it; the corrections become the next version of its dataset, and the
# next run is trained on that. Nothing is collected unless it is turned on, and personal data are masked before anything is
# written.

# %%
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import time

import httpx

import studio

# %% [markdown]
# ## What the model learned from
# Sixty rows of the sample data, in a dataset of the library so that there can be a next version.

# %%
rows = Path("support.jsonl")
rows.write_text("".join(Path(studio.sample("support.jsonl")).read_text().splitlines(keepends=True)[:60]))
dataset = studio.add_dataset("Support", rows)
print(dataset.reference, "with", len(rows.read_text().splitlines()), "rows")

# %% [markdown]
# ## Served, with collecting turned on
# Only `--collect` keeps answers; a server without it keeps none. To be quick, the model is the starter as it is; a run is served
# by its id in the same way.

# %%
server = subprocess.Popen(
    [sys.executable, "-m", "studio", "serve", "starter", "--name", "bot=starter", "--port", "8766", "--collect"],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
url = "http://127.0.0.1:8766"
for _ in range(300):
    try:
        if httpx.get(f"{url}/ready").status_code == 200:
            break
    except httpx.TransportError:
        pass
    time.sleep(1)

# %%
questions = [
    "When does the store at Old Quay open? I am jo@example.com.",
    "Who repairs a broken lamp?",
    "Do you sell bicycles?",
]
names = []
for question in questions:
    body = {"model": "bot", "max_tokens": 24, "messages": [{"role": "user", "content": question}]}
    names.append(httpx.post(f"{url}/v1/chat/completions", json=body, timeout=300).json()["id"])
server.terminate()
ended = server.wait(timeout=120)
for item in studio.list_feedback():
    print(item.number, item.question, "masked:", ", ".join(item.masked) or "nothing")

# %% [markdown]
# ## Rated and corrected
# An answer is named by its number or by the id the API gave it. A client of the API does the same with `POST /v1/feedback`, and
# the pages *Chat*, *Evidence* and *Feedback* with buttons.

# %%
studio.rate_answer(names[0], "bad", correction="The store at Old Quay opens at nine in the morning.")
studio.rate_answer(names[1], "bad", correction="The workshop at Old Quay repairs lamps.")
studio.rate_answer(names[2], "bad", flag="not what we sell")
for item in studio.list_feedback():
    print(item.number, item.rating, "→", item.correction or f"flagged: {item.flag}")

# %% [markdown]
# ## The next version
# Corrections are edits on the dataset's desk, where they can be reviewed and undone. `write_it=True` saves the next version.
# Questions of a run's evidence would go into a dataset of their own, as they are held out.

# %%
added = studio.feedback_dataset("Support", write_it=True)
print(f"{added.added} rows added, saved as {added.written}")

# %% [markdown]
# ## The next run
# It trains on the new version, and its lock says so. `studio.train(spec)` starts it, and `studio.compare` lets the runs before and
# after answer the same questions.

# %%
spec = studio.RunSpec(name="support", data={"train": added.written}, tracking={"wandb": "off"})
for line in studio.plan(spec).summary[:4]:
    print(line)
