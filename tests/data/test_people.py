"""Names of people are found by the model that a person names; without one the report says that they were not looked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.app import curation, datasets, library
from studio.core.errors import ModelError
from studio.data import people
from studio.data.checks import CHECKS
from studio.data.curation.desk import open_desk
from studio.data.curation.views import Query
from studio.evaluation.people import person_labels
from studio.tracking.reporter import Silent

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "anna", "the", "lamp", "is", "blue", "asked", "."]
LONG = "the lamp is blue . " * 40


def tagger(folder: Path, label: str = "B-PER") -> str:
    """A token-classification model, of no layers, that takes the word Anna for a person and every other for nothing."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=8, num_hidden_layers=0, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=66, id2label={0: "O", 1: label}, label2id={"O": 0, label: 1},
    )  # fmt: skip
    model = transformers.BertForTokenClassification(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model.bert.embeddings.LayerNorm.weight.fill_(1.0)
        model.bert.embeddings.word_embeddings.weight[VOCABULARY.index("anna"), 0] = 10.0
        model.classifier.weight[1, 0] = 2.0
        model.classifier.bias[0] = 1.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def rows() -> list[dict[str, str]]:
    asked = ["Is the lamp blue?", "Anna asked: is the lamp blue?", "Is it?", f"{LONG} Anna asked."]
    return [{"question": question, "answer": f"The lamp is blue {number}."} for number, question in enumerate(asked)]


def test_without_a_model_the_report_says_that_names_are_not_looked_for() -> None:
    assert "--names MODEL" in CHECKS["personal_data"].not_covered


def test_a_model_that_labels_no_people_is_refused_with_its_labels() -> None:
    assert person_labels({0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "GIVEN_NAME"}, "m") == [1, 2, 4]
    with pytest.raises(ModelError, match="LABEL_0, LABEL_1"):
        person_labels({0: "LABEL_0", 1: "LABEL_1"}, "m")


def test_no_names_are_told_apart_from_names_not_looked_for() -> None:
    found = people.finding(people.Named("m", (), 4))
    assert (found.severity, found.count) == ("info", 0)
    assert "no names of people were found by m" in found.message


@pytest.mark.torch
def test_rows_that_name_people_are_found_in_a_file_and_on_the_desk(tmp_path: Path) -> None:
    model = tagger(tmp_path / "tagger")
    file = tmp_path / "shop.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows()))
    found = next(item for item in datasets.findings_with(Silent(), str(file), names=model) if item.check == people.NAMES)
    assert (found.count, found.share, [item.line for item in found.examples]) == (2, 0.5, [2, 4])
    assert "Anna" not in found.model_dump_json(), "a report does not carry the names"
    item = library.add(tmp_path / "home", "Shop", [("shop.jsonl", file)])
    with open_desk(item) as desk:
        curation.find_names(desk, model, Silent())
        assert [row.line for row in desk.rows(Query(check=people.NAMES))] == [2, 4]
        curation.find_names(desk, model, Silent())
        assert [finding.count for finding in desk.findings() if finding.check == people.NAMES] == [2]
