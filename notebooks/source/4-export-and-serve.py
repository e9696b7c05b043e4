# %% [markdown]
# # Export and serve
# A trained run becomes files for other runtimes, each verified, and then an OpenAI-compatible server.

# %%
import subprocess
import sys
from importlib.util import find_spec

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import time

import httpx

import studio

# %%
run = studio.train(
    studio.RunSpec(
        name="bot",
        data={"train": studio.sample("support.jsonl"), "limit": 120},
        training={"epochs": 2},
        evaluation={"max_rows": 8, "general": "off"},
        tracking={"wandb": "off"},
    )
)

# %% [markdown]
# ## Exports
# `merged` is one model for transformers or vLLM; `gguf` is for llama.cpp and Ollama. `deploy=True` adds a compose file, plain
# commands and checksums.

# %%
run.export("merged", deploy=True)

# %%
artifact = run.export("gguf", quant="q4_k_m", deploy=True)
artifact

# %% [markdown]
# Everything an artifact needs lies in its folder: a model card, the manifest with hashes, and the files to deploy it.

# %%
for file in sorted(artifact.path.rglob("*")):
    if file.is_file():
        print(file.relative_to(artifact.path))

# %% [markdown]
# ## A server
# `studio serve last` on the command line does the same. Any OpenAI client can talk to it.

# %%
server = subprocess.Popen(
    [sys.executable, "-m", "studio", "serve", run.id, "--name", f"bot={run.id}", "--port", "8765"],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
url = "http://127.0.0.1:8765"
for _ in range(120):
    try:
        if httpx.get(f"{url}/ready").status_code == 200:
            break
    except httpx.ConnectError:
        pass
    time.sleep(1)

# %%
question = {"role": "user", "content": "How long is the warranty of the Aria lamp?"}
answer = httpx.post(f"{url}/v1/chat/completions", json={"model": "bot", "messages": [question]}, timeout=60).json()
print(answer["choices"][0]["message"]["content"])
print(answer["usage"])

# %%
server.terminate()
ended = server.wait(timeout=60)
