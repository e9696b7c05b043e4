# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # From a file to a proven adapter
# The starter model, a shipped dataset, and the same spec that YAML and the command use.

# %%
import studio

# %% [markdown]
# What is in the file, and what is wrong with it?

# %%
studio.inspect("datasets/support.jsonl")

# %% [markdown]
# A spec. What is left out is decided by the plan, with a reason.

# %%
spec = studio.RunSpec(
    name="quickstart",
    data={"train": "datasets/support.jsonl", "holdout": 0.1, "limit": 80},
    training={"epochs": 2},
    evaluation={"max_rows": 8, "general": "off"},
    tracking={"wandb": "off"},
)
studio.plan(spec)

# %% [markdown]
# Train. The run is a process of its own: restart the kernel and it is still there (`studio.find("last")`).

# %%
run = studio.train(spec)
run

# %%
run.report

# %%
run.chat("How much is the Juniper mirror?")

# %% [markdown]
# A verified GGUF for llama.cpp and Ollama.

# %%
run.export("gguf", quant="q8_0")["verification"]["passed"]
