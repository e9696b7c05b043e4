# %% [markdown]
# # Evidence and comparison
# A sweep: two runs that differ in one setting, compared on the same held-out rows; a metric of your own; then a second question
# file that no setting was chosen on.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import studio

# %% [markdown]
# ## A sweep
# One run for each combination of values, one after another. Values of several fields multiply. `wait=False` puts the runs into the
# queue instead, where they outlive the kernel; `studio.watch(run)` then shows one.

# %%
spec = studio.RunSpec(
    name="bot",
    data={"train": studio.sample("support.jsonl"), "holdout": studio.sample("support-heldout.jsonl")},
    evaluation={"max_rows": 12},
    tracking={"wandb": "off"},
)
runs = studio.sweep(spec, {"training.epochs": [1, 3]})
runs

# %% [markdown]
# ## One report
# Read the verdict first, then the metric it is based on with its interval. The *general* set is the forgetting check: questions
# that have nothing to do with the training data. `report.html` in the run folder shows all answers side by side.

# %%
runs[1].report

# %% [markdown]
# ## Side by side
# The settings that differ, and the figures of both. Both runs have answered the same rows. One run per setting is one seed:
# before you decide on a small difference, sweep over `training.seed`, too.

# %%
studio.compare(*runs)

# %% [markdown]
# ## A metric of your own
# A plain function of answer and reference. Base, tuned and the change have 95 % intervals, as every figure of the report has.


# %%
def names_the_thing(answer: str, reference: str) -> bool:
    """Whether the answer is about the thing that the reference is about, whatever it says of it."""
    return reference.split(" ")[1] in answer


print(runs[1].report.score(names_the_thing))

# %%
answers = runs[1].report.answers_frame()
answers.loc[answers["set"] == "held-out", ["question", "reference", "base", "tuned"]].head(3)

# %% [markdown]
# ## Questions nobody tuned on
# If you choose settings by the held-out rows, they are no longer held out. Keep a last file and look at it once.

# %%
runs[1].evaluate(also=[studio.sample("support-fresh.jsonl")])
fresh = runs[1].report.set("support-fresh")
assert fresh is not None
tuned = fresh.metrics[fresh.headline].tuned
print(f"{fresh.label}: {fresh.headline} {tuned.value:.0%} of {tuned.rows} rows")

# %% [markdown]
# ## Which run was which
# Every run keeps its spec with all decisions, its plan and its environment.

# %%
for run in studio.list_runs():
    print(run.id, run.status.state, run.spec.training.epochs, "epochs")
