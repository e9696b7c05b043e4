"""One training run by LLaMA-Factory, run by the Python of its own venv: `peer_llamafactory.py FOLDER MICRO DTYPE PACKED`.

It knows nothing of the studio. FOLDER holds model/, adapter/ (the LoRA weights to begin with) and rows.json (ids and
labels in the order to train them). Its packing, collator, attention, loss and loop are its own.
"""

import json
import resource
import sys
import time
from pathlib import Path


def main(folder: Path, micro: int, dtype: str, packed: bool) -> dict:
    """Train; tokens per CPU second over all steps but the first, losses, peak memory."""
    from datasets import Dataset, DatasetDict
    from llamafactory.data.processor.supervised import PackedSupervisedDatasetProcessor
    from llamafactory.hparams import DataArguments
    from llamafactory.train.tuner import run_exp
    from transformers import AutoTokenizer, TrainerCallback

    rows = json.loads((folder / "rows.json").read_text())
    blank = [None] * len(rows)
    columns = {
        "input_ids": [ids for ids, _ in rows],
        "attention_mask": [[1] * len(ids) for ids, _ in rows],
        "labels": [labels for _, labels in rows],
    }
    if packed:
        tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        asked = DataArguments(cutoff_len=1024, packing=True, neat_packing=True)
        packer = PackedSupervisedDatasetProcessor(template=None, tokenizer=tokenizer, processor=None, data_args=asked)
        packer._encode_data_example = lambda response, **_: (list(response[0][0]), list(response[0][1]))
        given = {"_prompt": [[None]] * len(rows), "_response": [[row] for row in rows]}
        given |= {name: blank for name in ("_system", "_tools", "_images", "_videos", "_audios")}
        columns = packer.preprocess_dataset(given)
    else:
        columns |= {"images": blank, "videos": blank, "audios": blank}
    tokenized = folder / f"tokenized-{packed}"
    DatasetDict({"train": Dataset.from_dict(dict(columns))}).save_to_disk(str(tokenized))

    class Clock(TrainerCallback):
        seconds, tokens, losses, seen = [], [], [], [0]

        def on_train_begin(self, args, state, control, model=None, **_):
            def count(module, args, kwargs):
                self.seen[0] += int((kwargs["input_ids"] != 0).sum())

            model.register_forward_pre_hook(count, with_kwargs=True)

        def on_log(self, args, state, control, logs=None, **_):
            if "loss" in logs:
                self.seconds.append(time.process_time())
                self.tokens.append(self.seen[0])
                self.losses.append(logs["loss"])

    clock = Clock()
    run_exp(
        {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": str(folder / "model"),
            "adapter_name_or_path": str(folder / "adapter"),
            "finetuning_type": "lora",
            "template": "empty",
            "tokenized_path": str(tokenized),
            "dataset": "rows",
            "cutoff_len": 1024,
            "neat_packing": packed,
            "packing": packed,
            "output_dir": str(folder / f"out-{packed}-{micro}-{dtype}"),
            "overwrite_output_dir": True,
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": 2 if packed else 8 // micro,
            "learning_rate": 2e-4,
            "lr_scheduler_type": "constant",
            "num_train_epochs": 1,
            "disable_shuffling": True,
            "disable_gradient_checkpointing": True,
            "bf16": dtype == "bf16",
            "use_cpu": True,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
        },
        callbacks=[clock],
    )
    return {
        "tokens_per_cpu_second": (clock.tokens[-1] - clock.tokens[0]) / (clock.seconds[-1] - clock.seconds[0]),
        "losses": clock.losses,
        "tokens": clock.tokens[-1],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] == "packed")))
