"""Hostile files and requests by a seed: archives, tables, specs, templates, adapters, models and HTTP, crafted or spoiled.

Each is read by what reads such a file. It holds where the file is read or refused in a sentence with a hint, within seconds.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import signal
import socket
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from studio import spec
from studio.core.errors import StudioError
from studio.data.prepare import inspect
from studio.data.settings import Data
from studio.http import server
from studio.http.shell import Shell
from studio.models import adapter_files, finding, template_limit
from studio.models.settings import Model
from studio.ui import access
from studio.ui.session import Sessions
from tests.campaign.faults import DAMAGES

SECONDS = 120
"""Longest that one may take; a minute of it is for a machine that does other things."""
ROWS = [{"question": f"what is the price of lamp {number}?", "answer": f"{number} euro."} for number in range(40)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
CSV = ("question,answer\n" + "".join(f"what is {n}?,{n} euro\n" for n in range(40))).encode()
SPOILS = ("half", "zeros", "garbage", "one bit", "empty")


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _tar(*members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return out.getvalue()


def _link(name: str, to: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    return member


ARCHIVES: dict[str, bytes] = {
    "plain.zip": _zip({"a.jsonl": LINES}),
    "out.zip": _zip({"../../a.jsonl": LINES, "a.jsonl": LINES}),
    "absolute.zip": _zip({"/etc/a.jsonl": LINES}),
    "bomb.zip": _zip({"a.jsonl": b" " * (70 << 20)}),
    "many.zip": _zip({f"{number}.jsonl": b"{}" for number in range(3000)}),
    "nested.zip": _zip({"a.zip": _zip({"a.jsonl": LINES})}),
    "bomb.jsonl.gz": gzip.compress(b" " * (70 << 20)),
    "twice.jsonl.gz": gzip.compress(gzip.compress(LINES)),
    "links.tar.gz": _tar(_link("a.jsonl", "/etc/passwd")),
    "device.zip": _zip({"a\x00.jsonl": LINES, "con.csv": CSV}),
}
TABLES: dict[str, bytes] = {
    "plain.csv": CSV,
    "plain.jsonl": LINES,
    "nul.csv": CSV.replace(b"euro", b"\x00euro"),
    "wide.csv": b"question,answer" + b",x" * 20_000 + b"\na,b\n",
    "long.csv": b"question,answer\n" + b"a" * (3 << 20) + b",b\n",
    "quotes.csv": b'question,answer\n"a,b\n' + CSV,
    "deep.jsonl": b'{"question":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
    "numbers.jsonl": b'{"question": 1' + b"0" * 20_000 + b', "answer": NaN}\n' + LINES,
    "keys.jsonl": b'{"question": "a", "question": "b", "answer": "c"}\n' * 5,
    "surrogates.jsonl": b'{"question": "\\ud800", "answer": "\\udfff"}\n' * 5,
    "escapes.jsonl": b'{"question": "\\u001b]0;x\\u0007", "answer": "\\u202e"}\n' * 5,
    "entities.xlsx": _zip(
        {"xl/workbook.xml": b'<!DOCTYPE a [<!ENTITY b "bb">]><workbook>&b;</workbook>', "[Content_Types].xml": b"<Types/>"}
    ),
    "magic.parquet": b"PAR1" + b"\xff" * 64 + b"PAR1",
    "list.json": b"[" * 30_000,
    "utf16.csv": CSV.decode().encode("utf-16"),
}  # fmt: skip
NINE = [b"*a%d" % (level - 1) + b", *a%d" % (level - 1) * 8 for level in range(1, 10)]
SPECS: dict[str, bytes] = {
    "plain": b"name: bot\ndata: {train: a.csv}\n",
    "nine levels of aliases": b"a: &a0 [x]\n" + b"".join(b"b%d: &a%d [%s]\n" % (n, n, each) for n, each in enumerate(NINE, 1)),
    "its own alias": b"data: &d {x: *d}\n",
    "brackets": b"[" * 20_000,
    "braces": b"data: " + b"{a: " * 5_000,
    "a number": b"training: {epochs: 1" + b"0" * 10_000 + b"}\n",
    "a float": b"training: {epochs: .inf, learning_rate: .nan}\ndata: {train: a.csv}\n",
    "a tag": b"!!python/object/apply:os.system ['true']\n",
    "a tab": b"data:\n\ttrain: a.csv\n",
    "a date": b"name: 2020-01-01\ndata: {train: a.csv}\n",
    "keys": b"? [a, b]\n: c\n",
    "merge": b"<<: *x\n",
    "a binary": b"name: !!binary aGk=\ndata: {train: a.csv}\n",
    "many documents": b"---\n" * 1000,
    "long key": b"a" * 1_000_000 + b": 1\n",
}  # fmt: skip
TEMPLATES: dict[str, str] = {
    "plain": "{% for m in messages %}{{ m['role'] + m['content'] }}{% endfor %}",
    "two loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a long text": "{{ 'x' * 10000000000 }}",
    "a long number": "{{ 9 ** 9 ** 9 }}",
    "calls itself": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "doubles": "{% set n = namespace(s='x') %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "a class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a format": "{{ '%999999999d' % 1 }}",
    "a filter": "{{ 'x' | center(9999999999) }}",
    "cut": "{% for m in messages",
    "raises": "{{ raise_exception('no') }}",
}


def _tensors(header: dict[str, Any], data: bytes = b"\0" * 64, length: int | None = None) -> bytes:
    """A safetensors file: its header's length, the header, the data."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


LORA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
MATRIX = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
ADAPTER = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": "starter", "target_modules": ["q_proj"]}
ADAPTERS: dict[str, tuple[Any, bytes]] = {
    "plain": (ADAPTER, _tensors({LORA: MATRIX})),
    "a rank of a million": ({**ADAPTER, "r": 1_000_000}, _tensors({LORA: MATRIX})),
    "a rank of words": ({**ADAPTER, "r": "four"}, _tensors({LORA: MATRIX})),
    "no tensors": (ADAPTER, _tensors({})),
    "a header without an end": (ADAPTER, _tensors({LORA: MATRIX}, length=1 << 60)),
    "offsets outside": (ADAPTER, _tensors({LORA: {**MATRIX, "data_offsets": [0, 1 << 50]}})),
    "a shape without an end": (ADAPTER, _tensors({LORA: {**MATRIX, "shape": [1 << 40, 1 << 40]}})),
    "not a number": (ADAPTER, _tensors({LORA: MATRIX}, struct.pack("<f", float("nan")) * 16)),
    "a header of lists": (ADAPTER, _tensors({LORA: [MATRIX]})),
    "another kind": ({**ADAPTER, "peft_type": "WIZARD"}, _tensors({LORA: MATRIX})),
    "a list": ([ADAPTER], _tensors({LORA: MATRIX})),
    "a pickle": (ADAPTER, b""),
}
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 512, "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "plain": CONFIG,
    "many layers": {**CONFIG, "num_hidden_layers": 10**9},
    "a negative width": {**CONFIG, "hidden_size": -64},
    "no heads": {**CONFIG, "num_attention_heads": 0},
    "words": {**CONFIG, "hidden_size": "wide"},
    "no width": {name: value for name, value in CONFIG.items() if name != "hidden_size"},
    "its own code": {**CONFIG, "auto_map": {"AutoModelForCausalLM": "evil.Model"}},
    "unknown": {**CONFIG, "model_type": "wizard", "architectures": ["WizardForCausalLM"]},
    "no kind": {"vocab_size": 8},
}
REQUESTS: dict[str, bytes] = {
    "plain": b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "a host without an end": b"GET / HTTP/1.1\r\nHost: [::1\r\n",
    "an origin without an end": b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[\r\nContent-Length: 0\r\n",
    "another host": b"GET / HTTP/1.1\r\nHost: evil.example\r\n",
    "no host": b"GET / HTTP/1.1\r\n",
    "a length of words": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: many\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
    "a path out": b"GET /gradio_api/file=../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "an encoded path": b"GET /%2e%2e/%2e%2e/etc/passwd%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 70_000 + b"\r\n",
    "a cookie of bytes": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: studio=\xff\xfe.\xff\r\n",
    "chunks of words": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no method": b"\x00\x01\x02 / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
}


class Corpus:
    """Files below `root`, and a server of the web studio's rules that is sent the requests."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.kinds: dict[str, Callable[[str, random.Random], None]] = {
            "archive": lambda name, chance: self._file(ARCHIVES, name, chance),
            "table": lambda name, chance: self._file(TABLES, name, chance),
            "spec": self._spec, "template": self._template, "adapter": self._adapter, "model": self._model, "http": self._http,
        }  # fmt: skip
        self.names = {
            "archive": list(ARCHIVES), "table": list(TABLES), "spec": list(SPECS), "template": list(TEMPLATES),
            "adapter": list(ADAPTERS), "model": list(MODELS), "http": list(REQUESTS),
        }  # fmt: skip

    def try_one(self, chance: random.Random) -> tuple[str, str, list[str]]:
        """One of them: the fault, its kind, and what did not hold."""
        kind = chance.choice(list(self.kinds))
        name = chance.choice(self.names[kind])
        return f"hostile {kind}", f"hostile: {kind}: {name}", self.read(kind, name, chance)

    def read(self, kind: str, name: str, chance: random.Random) -> list[str]:
        """Let Studio read one; what did not hold."""
        try:
            with _limited(SECONDS):
                self.kinds[kind](name, chance)
        except StudioError as error:
            return [] if error.hint else [f"{kind}: {name}: an error without a hint: {error}"]
        except BaseException as error:
            return [f"{kind}: {name}: {type(error).__name__}: {str(error)[:200]}"]
        return []

    def _file(self, corpus: dict[str, bytes], name: str, chance: random.Random) -> None:
        inspect(Data(train=str(self._write(name, _spoiled(corpus[name], chance)))))

    def _spec(self, name: str, chance: random.Random) -> None:
        spec.load(self._write("spec.yaml", _spoiled(SPECS[name], chance)))

    def _template(self, name: str, chance: random.Random) -> None:
        asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        template_limit.require_bounded(TEMPLATES[name], {"bos_token": "<s>"}, asked)

    def _adapter(self, name: str, chance: random.Random) -> None:
        config, tensors = ADAPTERS[name]
        folder = self.root / "adapter"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        (folder / "adapter_config.json").write_text(json.dumps(config))
        weights = "adapter_model.bin" if name == "a pickle" else "adapter_model.safetensors"
        (folder / weights).write_bytes(_spoiled(tensors, chance))
        adapter_files.read_config(folder)
        adapter_files.check(folder)
        adapter_files.ranks(folder)

    def _model(self, name: str, chance: random.Random) -> None:
        folder = self.root / "model"
        folder.mkdir(exist_ok=True)
        config = json.dumps(MODELS[name]).encode()
        (folder / "config.json").write_bytes(_spoiled(config, chance))
        (folder / "model.safetensors").write_bytes(_spoiled(_tensors({"model.embed_tokens.weight": MATRIX}), chance))
        (folder / "tokenizer.json").write_text("{}")
        from studio.models.dims import model_dims

        model_dims(finding.find(Model(name=str(folder)), planning=True).config)

    def _http(self, name: str, chance: random.Random) -> None:
        request = REQUESTS[name] + b"\r\n"
        with _serving(self.root) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(_spoiled(request, chance) if chance.random() < 0.3 else request)
            client.shutdown(socket.SHUT_WR)
            said = client.recv(4096)
        status = said.split(b" ")[1:2]
        if status and status[0].startswith(b"5"):
            raise AssertionError(said[:200].decode("latin-1"))

    def _write(self, name: str, content: bytes) -> Path:
        file = self.root / name
        file.write_bytes(content)
        return file


def _spoiled(content: bytes, chance: random.Random) -> bytes:
    """Half of the time as it is, else spoiled as a disk or a bad copy does."""
    return content if chance.random() < 0.5 else DAMAGES[chance.choice(SPOILS)](content, chance)


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after so long. In the first thread only."""

    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _serving(home: Path) -> Iterator[int]:
    """A page behind the rules of the web studio, on a port of this machine."""

    async def page(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    shell = Shell(page, access.rules(Sessions(home / "session-key"), frozenset({"127.0.0.1", "localhost"}), False, home))
    listener, end = server.listen("127.0.0.1", 0), threading.Event()
    running = threading.Thread(target=server.Server(shell, 1.0).run_on, args=(listener, end), daemon=True)
    running.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        end.set()
        running.join(30)
