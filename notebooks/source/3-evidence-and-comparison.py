# %% [markdown]
# # Evidence and comparison
# Two runs that differ in one setting, compared on the same held-out rows; then a second question file that no setting was
# chosen on.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import studio

# %%
spec = studio.RunSpec(
    name="two-epochs",
    data={"train": studio.sample("support.jsonl"), "holdout": studio.sample("support-heldout.jsonl")},
    training={"epochs": 2},
    evaluation={"max_rows": 40},
    tracking={"wandb": "off"},
)
longer = studio.edit(spec, {"name": "six-epochs", "training.epochs": 6})
runs = [studio.train(spec), studio.train(longer)]

# %% [markdown]
# ## One report
# Read the verdict first, then the metric it is based on with its interval. The *general* set is the forgetting check: questions
# that have nothing to do with the training data. `report.html` in the run folder shows the answers side by side.

# %%
runs[0]

# %%
runs[1]

# %% [markdown]
# ## Side by side
# The same rows, the same seed: the change from base to tuned is paired. Intervals that overlap do not prove that two runs are
# equal, and one run per setting is one seed.

# %%
for run in runs:
    print(f"{run.spec.name:12}", run.report.verdict.text)

# %% [markdown]
# ## Questions nobody tuned on
# If you choose settings by the held-out rows, they are no longer held out. Keep a last file and look at it once.

# %%
runs[1].evaluate(also=[studio.sample("support-fresh.jsonl")])
runs[1]

# %% [markdown]
# ## Which run was which
# Every run keeps its spec with all decisions, its plan and its environment.

# %%
for run in studio.list_runs():
    print(run.id, run.status.state, run.spec.training.epochs, "epochs")
