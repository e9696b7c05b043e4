# %% [markdown]
# # Qwen3-4B on a hosted GPU
# For a notebook with a GPU: Colab, Kaggle, or a rented machine. It trains Qwen3-4B on your questions and answers with QLoRA, shows the
# evidence, and makes a GGUF file for llama.cpp or Ollama. A GPU with 8 GB or more is enough for rows of up to 512 tokens.
#
# This notebook has no stored outputs: they would be another GPU's. The tests run its cells with a small model on a CPU.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import studio

# %% [markdown]
# If the cell above installed Studio, restart the kernel once where the notebook asks for it: a torch that was loaded before is not
# replaced. Then look at what Studio finds here: GPU, driver, free disk. A line with ✗ says what to do.

# %%
print(subprocess.run([sys.executable, "-m", "studio", "doctor"], capture_output=True, text=True).stdout)

# %% [markdown]
# ## Where runs are kept
# A hosted machine forgets its disk. Name a folder that stays, such as a mounted drive; a run that was cut off is then resumed in
# the next session with `studio.find("last", home).resume()`.

# %%
home = None  # e.g. "/content/drive/MyDrive/studio" after drive.mount("/content/drive")

# %% [markdown]
# ## Your data
# Upload a file, and name it here: `.jsonl .csv .xlsx .parquet .txt` and more. A sample stands in until then.

# %%
file = studio.sample("support.jsonl")
studio.inspect(file)

# %% [markdown]
# ## The plan
# Memory, time and every decision for this GPU, before anything is downloaded. Where it does not fit, the plan names what would:
# a smaller model, shorter rows. A gated model needs the variable `HF_TOKEN` (in Colab: the key symbol at the left).

# %%
spec = studio.RunSpec(
    name="my-bot",
    model={"name": "Qwen/Qwen3-4B"},
    data={"train": file, "holdout": 0.1},
    tracking={"wandb": "auto"},  # online with the variable WANDB_API_KEY, else kept beside the run
)
studio.plan(spec, home=home)

# %% [markdown]
# ## Train
# The model is downloaded once (8 GB). A run that does not fit is refused before that. Interrupting the cell saves a checkpoint;
# `run.resume()` continues.

# %%
run = studio.train(spec, home)

# %% [markdown]
# ## Evidence
# Base and tuned model have answered the same held-out rows.

# %%
run.report

# %%
talk = run.conversation(max_tokens=200)
talk.say("Hello! What can you do for me?")
talk

# %% [markdown]
# ## Take it with you
# The GGUF file is loaded in llama.cpp and compared with the tuned model. Download the folder that is printed; `deploy=True` has put
# a compose file, plain commands and checksums beside it. The adapter alone is much smaller: `run.export("adapter")`.

# %%
artifact = run.export("gguf", quant="q4_k_m", deploy=True)
print(artifact.path, "verified" if artifact.verification.passed else "NOT verified")
