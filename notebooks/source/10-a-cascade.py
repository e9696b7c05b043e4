# %% [markdown]
# # A cascade: small model first, large model when unsure
# The small model answers what it is sure of; the rest goes to a large model behind an API. Calibration finds how sure is sure
# enough, with a bound on the share of answers that are given locally and wrong.

# %%
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("studio") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "slm-studio[notebook]"])

import studio

# %% [markdown]
# ## Questions that neither training nor the choice of a checkpoint has seen
# Half of them calibrate the cascade, the other half test it. Questions about things that do not exist show whether the model is
# unsure about what it cannot know.

# %%
rows = Path(studio.sample("general.jsonl")).read_text().splitlines(keepends=True)
Path("calibration.jsonl").write_text("".join(rows[::2]))
Path("test.jsonl").write_text("".join(rows[1::2]))
for name, thing in (("calibration", "gadget"), ("test", "widget")):
    questions = [f"What does the {color} {thing} cost?" for color in ("red", "blue", "green", "white", "black", "gray")]
    Path(f"{name}-other.txt").write_text("\n".join(questions))
print(len(rows[::2]), "and", len(rows[1::2]), "questions with answers")

# %% [markdown]
# ## The large model
# Any OpenAI-compatible API: `https://openrouter.ai/api/v1#openai/gpt-5-mini`, or a server of your own. So that this notebook
# needs neither key nor network, a few lines stand in for one. They know every answer.

# %%
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

answers = {row["question"]: row["answer"] for row in map(json.loads, rows)}


class StandIn(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = answers.get(body["messages"][-1]["content"], "I do not know that.")
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
        reply = json.dumps({"id": "1", "object": "chat.completion", "model": "large", "choices": [choice], "usage": usage})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply.encode())

    def log_message(self, *words):
        pass


api = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
threading.Thread(target=api.serve_forever, daemon=True).start()
large = f"http://127.0.0.1:{api.server_port}/v1#large"

# %% [markdown]
# ## Calibrate
# Only the small model is asked, so this costs nothing. It is the shipped starter; a run is named by its id. `risk` is the share
# of all questions that may be answered locally and wrong: 20 % here because there are few questions, 2 % needs 149 or more.
# `price` is the large model's, in US dollars per million tokens read and written.

# %%
cascade = studio.calibrate_cascade(
    "starter", large, ["calibration.jsonl"], out_of_scope=["calibration-other.txt"], risk=0.2, price=(0.25, 2.0)
)
print(cascade.calibration.promise)
for warning in cascade.record.warnings:
    print("!", warning)

# %% [markdown]
# ## Test
# On questions that the cascade has not seen. The large model is asked each of them once, and never for more than `ceiling`
# US dollars. Read whether the promise held, then what stayed local and what it saves.

# %%
report = cascade.test(["test.jsonl"], out_of_scope=["test-other.txt"], ceiling=0.10)
print(report.sentence)

# %%
for name, side in (("small alone", report.small), ("cascade", report.at_target), ("large alone", report.large)):
    interval = f"{side.low:.0%} to {side.high:.0%}"
    print(f"{name}: {side.quality:.0%} right ({interval}), {side.escalated:.0%} asked of the large model")

# %% [markdown]
# ## Serve
# `studio cascade serve ID --budget 20 --never pii` serves both as one OpenAI-compatible API; each answer says which model gave
# it. The page *Serve → Cascade* of the web studio has the same with curves and the most costly errors.

# %%
api.shutdown()
api.server_close()
print("studio cascade serve", cascade.id, "--budget 20")
