"""Heavy libraries are brought in cheaply and left as they are."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch

BROUGHT = """
import gc, sys
from studio.models import libraries
libraries.import_heavy()
import bitsandbytes, peft, torch
print(gc.isenabled(), gc.get_freeze_count() > 100_000, "torch._inductor.compile_fx" in sys.modules, "wandb" in sys.modules)
print(torch.compile.__module__, torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
frozen = gc.get_freeze_count()
libraries.import_heavy()
print(gc.get_freeze_count() == frozen)
import contextlib, wandb
with contextlib.redirect_stdout(sys.stderr):  # transformers says so if wandb is offline
    from transformers.integrations import is_wandb_available
print(is_wandb_available())
weights = torch.nn.Parameter(torch.ones(64, 64))
weights.grad = torch.ones(64, 64)
bitsandbytes.optim.AdamW8bit([weights], lr=0.1).step()
print(bool((weights < 1).all()))
"""


def run(code: str, *words: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_libraries_come_without_a_compiler_and_out_of_the_garbage_collectors_way():
    collecting, compiled, again, wandb, eight_bit = run(BROUGHT)
    assert collecting == "True True False False"
    assert compiled == "torch 2.0"
    assert again == "True"  # later imports freeze nothing: there may be tensors by then
    assert wandb == "True"  # not imported is not gone
    assert eight_bit == "True"  # what bitsandbytes would have compiled at its import still works


LATER = """
import gc, torch
from studio.models import libraries
libraries.import_heavy()
import peft
print(gc.get_freeze_count())
"""


def test_where_there_may_be_tensors_already_nothing_is_put_out_of_the_garbage_collectors_way():
    assert run(LATER) == ["0"]


LISTED = """
import hashlib, sys
if sys.argv[1] == "once":
    from studio.models import libraries
    libraries.list_models()
import transformers.models
known = transformers.models._class_to_module
print(len(known) > 1000, hashlib.sha256(repr(sorted(known.items()) + dir(transformers.models)).encode()).hexdigest())
"""


def test_the_models_transformers_lists_are_the_same_when_their_sources_are_read_once():
    once, twice = run(LISTED, "once"), run(LISTED, "twice")
    assert once == twice
    assert once[0].startswith("True")
