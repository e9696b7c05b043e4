# %% [markdown]
# # Preferences and distillation
# Two ways to go on when good answers alone are not enough: pairs of a better and a worse answer, and a teacher whose
# probabilities a smaller model learns. Both runs take a few steps only, so that the notebook is quick: they show how to do it
# and how to read the report, not what to expect.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import studio

# %% [markdown]
# ## Pairs
# Each row has a prompt, a better and a worse answer. ORPO learns the better answers and the preference in one run, so it needs
# no fine-tuned model first. For a model that can already do the task, use `method="dpo"` with `adapter={"start_from": run.id}`.

# %%
pairs = studio.sample("support-pairs.jsonl")
studio.preview(pairs, rows=1)

# %%
spec = studio.RunSpec(
    name="prefers",
    data={"train": pairs, "holdout": 0.15, "limit": 160},
    training={"method": "orpo", "epochs": 1, "batch_size": 16},
    evaluation={"max_rows": 8, "general": "off"},
    tracking={"wandb": "off"},
)
for line in studio.plan(spec).summary[:4]:
    print(line)

# %%
prefers = studio.train(spec)
print(prefers.report.verdict.text)

# %% [markdown]
# ## Did it learn the preference, and the answers?
# *Preferred answer likelier* is the share of held-out pairs whose better answer has the higher likelihood. It alone proves
# little: a model can prefer the better answer and still give a wrong one. The verdict rests on the answers.

# %%
prefers.report

# %% [markdown]
# ## Distillation
# A student learns what the teacher thinks of every token of the rows, not only which one is right. The teacher may be a run, a
# model with the same tokenizer, or a larger model behind an API, whose answers are learned. Here it is the run above, and the
# student an adapter of a quarter of its size. `hard` is the weight of the answers in the rows.

# %%
method = {"kind": "distil", "teacher": prefers.id, "hard": 0.5, "baseline": "off"}
student = studio.train(
    studio.RunSpec(
        name="student",
        data={"train": studio.sample("support.jsonl"), "holdout": 0.2, "limit": 80},
        adapter={"rank": 4},
        training={"method": method, "epochs": 1, "batch_size": 16},
        evaluation={"max_rows": 8, "general": "off"},
        tracking={"wandb": "off"},
    )
)
print(student.report.verdict.text)

# %% [markdown]
# ## Student and teacher on the same questions
# The report also compares the student with its teacher: how far its probabilities are from the teacher's, and how often both
# choose the same token. Without `"baseline": "off"` Studio also trains the same rows without a teacher, and the report says
# whether the teacher was worth it: do so for a real run.

# %%
figures = student.report.to_pandas().set_index("metric")
figures.loc[["loss", "teacher_divergence", "same_choice"], ["base", "tuned", "change", "change_low", "change_high"]]
