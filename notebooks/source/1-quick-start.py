# %% [markdown]
# # Quick start
# From a file of questions and answers to an adapter that is measured against its base model, and a GGUF file for llama.cpp.
# It takes about a minute on a CPU: the model is the *starter model* that ships with Studio, so nothing is downloaded.
#
# Requirements: Linux or WSL2, Python 3.11 to 3.13. The first cell installs Studio if it is missing.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import studio

# %% [markdown]
# ## The data
# A sample dataset about the products of a fictional company. `inspect` reads and checks every row; it writes nothing.

# %%
support = studio.sample("support.jsonl")
report = studio.inspect(support)
totals = report.totals
print(f"{totals.rows} rows, {totals.usable} usable, {totals.duplicates} duplicates; format: {report.files[0].format}")

# %% [markdown]
# ## The plan
# A spec describes the run. Whatever it leaves open, the plan decides, with a reason for each decision.

# %%
spec = studio.RunSpec(
    name="quick-start",
    data={"train": support, "holdout": 0.1},
    training={"epochs": 4},
    evaluation={"max_rows": 24, "general": "off"},
    tracking={"wandb": "off"},
)
plan = studio.plan(spec)
for line in plan.summary:
    print(line)

# %% [markdown]
# ## Training
# The run is a separate process. If the kernel restarts, the run goes on: `studio.find("last")` returns it.

# %%
run = studio.train(spec)

# %% [markdown]
# ## Evidence
# Base model and tuned model have answered the same held-out rows. The intervals say how sure the difference is.

# %%
run.report

# %%
run.chat("How much is the Juniper mirror?")

# %% [markdown]
# ## Export
# The GGUF file is loaded in llama.cpp and compared with the tuned model before it counts as done.

# %%
artifact = run.export("gguf", quant="q8_0")
print(artifact.folder, "verified" if artifact.verification.passed else "NOT verified")
