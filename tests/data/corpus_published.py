"""The corpus' shapes of published sets: multiple choice, reading, dialogues, summaries, code, labels, preferences, tasks."""

from __future__ import annotations

import json
from typing import Any

from tests.data.corpus import FIRST, LONG, PAIRS, A, Asks, Case, Q, Refuses, Turns, lines, table

THOUGHT = (("user", Q[0]), ("assistant", f"<think>\nLook.\n</think>\n\n{A[0]}"))
KEYED = (("user", f"{Q[0]}\n\nA. No.\nB. {A[0]}"), ("assistant", f"B. {A[0]}"))


def numbered(make: Any) -> str:
    return "".join(json.dumps(make(n, q, a)) + "\n" for n, (q, a) in enumerate(PAIRS))


def keyed(labels: list[str]) -> dict[str, Any]:
    return {"question": Q[0], "choices": {"label": labels, "text": ["No.", A[0]]}, "answerKey": labels[1]}


CASES: tuple[Case, ...] = (
    # questions with choices
    Case("key-of-letters.jsonl", lines(lambda q, a: {**keyed(["A", "B"]), "note": q}), Turns(KEYED)),
    Case("key-of-numbers.jsonl", lines(lambda q, a: {**keyed(["1", "2"]), "note": q}), Turns(KEYED)),
    Case("key-and-stem.jsonl", lines(lambda q, a: {"question": {"stem": q, "choices": [{"text": a, "label": "A"}]}, "answerKey": "A"}), Asks(None)),
    Case("article-options.jsonl", lines(lambda q, a: {"article": f"Of {q}", "question": Q[0], "options": ["No.", A[0]], "answer": "B"}), Turns(KEYED)),
    Case("two-solutions.jsonl", lines(lambda q, a: {"goal": q, "sol1": a, "sol2": "No.", "label": 0}), Turns((("user", f"{Q[0]}\n\nA. It is 24 months.\nB. No."), ("assistant", "A. It is 24 months.")))),
    Case("true-or-false.jsonl", lines(lambda q, a: {"question": q, "passage": "Shop.", "answer": len(q) > 20}), Turns((("user", f"Shop.\n\n{Q[0]}"), ("assistant", "true")))),
    # reading
    Case("list-of-one-answer.jsonl", lines(lambda q, a: {"question": q, "answer": [a]}), Asks(Turns(FIRST))),
    Case("answer-with-aliases.jsonl", lines(lambda q, a: {"question": q, "answer": {"value": a, "aliases": [a, "x"]}, "search_results": {"title": []}}), Asks(Turns(FIRST))),
    Case("passages-selected.jsonl", lines(lambda q, a: {"query": q, "answers": [a], "passages": {"is_selected": [0, 1], "passage_text": ["x", "y"]}}), Asks(Turns(FIRST))),
    Case("titles-and-sentences.jsonl", lines(lambda q, a: {"question": q, "answer": a, "context": {"title": ["t"], "sentences": [["s."]]}}), Asks(None)),
    Case("outputs-with-sources.jsonl", lines(lambda q, a: {"input": q, "output": [{"answer": a, "provenance": [{"id": "1"}]}]}), Asks(Turns(FIRST))),
    Case("answers-by-column.jsonl", lines(lambda q, a: {"title": q, "selftext": "", "answers": {"a_id": ["1", "2"], "text": [a, "No."], "score": [9, 1]}}), Asks(Turns(FIRST))),
    # dialogues
    Case("system-answers.jsonl", lines(lambda q, a: {"turns": [{"speaker": "USER", "utterance": q}, {"speaker": "SYSTEM", "utterance": a}]}), Refuses("roles: {system: assistant}")),
    Case("system-answers-said.jsonl", lines(lambda q, a: {"turns": [{"speaker": "USER", "utterance": q}, {"speaker": "SYSTEM", "utterance": a}]}), Turns(FIRST), {"roles": {"system": "assistant"}}),
    Case("speakers-in-numbers.jsonl", lines(lambda q, a: {"turns": {"speaker": [0, 1], "utterance": [q, a]}}), Refuses('roles: {"0": user}')),
    Case("speakers-in-numbers-half-said.jsonl", lines(lambda q, a: {"turns": {"speaker": [0, 1], "utterance": [q, a]}}), Refuses('roles: {"0": user, "1": assistant}'), {"roles": {"0": "user"}}),
    Case("speakers-in-numbers-said.jsonl", lines(lambda q, a: {"turns": {"speaker": [0, 1], "utterance": [q, a]}}), Turns(FIRST), {"roles": {"0": "user", "1": "assistant"}}),
    Case("spoken-pairs.jsonl", lines(lambda q, a: {"chosen": f"\n\nHuman: {q}\n\nAssistant: {a}", "rejected": f"\n\nHuman: {q}\n\nAssistant: No."}), Turns(FIRST)),
    Case("moderated.jsonl", lines(lambda q, a: {"conversation": [{"content": q, "role": "user"}, {"content": a, "role": "assistant"}], "openai_moderation": [{"flagged": False}]}), Turns(FIRST)),
    Case("two-conversations.jsonl", numbered(lambda n, q, a: {"winner": f"model_{'ab'[n % 2]}", **{f"conversation_{side}": [{"role": "user", "content": q}, {"role": "assistant", "content": a if "ab"[n % 2] == side else "No."}] for side in "ab"}}), Turns(FIRST)),
    Case("two-conversations-with-ties.jsonl", numbered(lambda n, q, a: {"winner": "tie (bothbad)" if n > 3 else "model_b", "conversation_a": [{"role": "user", "content": q}, {"role": "assistant", "content": "No."}], "conversation_b": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}), Turns(FIRST, 4)),
    Case("better-response-id.jsonl", numbered(lambda n, q, a: {"prompt": q, f"response_{n % 2}": a, f"response_{1 - n % 2}": "No.", "better_response_id": n % 2}), Turns(FIRST)),
    Case("overall-preference.jsonl", numbered(lambda n, q, a: {"context": [{"role": "user", "content": q}], f"response{1 + n % 2}": a, f"response{2 - n % 2}": "No.", "overall_preference": (-2, 3)[n % 2]}), Turns(FIRST)),
    Case("winner-by-flags.csv", table("model_a", "model_b", "prompt", "response_a", "response_b", "winner_model_a", "winner_model_b", "winner_tie", make=lambda q, a: ["m", "n", json.dumps([q]), '["No."]', json.dumps([a]), 0, 1, 0]), Turns(FIRST)),
    Case("winner-by-model.jsonl", numbered(lambda n, q, a: {"question": q, "model_a": "m", "model_b": "n", f"answer_{'ab'[n % 2]}": a, f"answer_{'ba'[n % 2]}": "No.", "winner": "mn"[n % 2]}), Turns(FIRST)),
    Case("numbered-turns.jsonl", lines(lambda q, a: {"meta_instruction": "Be brief.", "chat": {"turn_2": {"Human": "And?", "MOSS": "No more."}, "turn_1": {"Human": q, "Commands": "none", "MOSS": a}}}), Turns((("system", "Be brief."), *FIRST, ("user", "And?"), ("assistant", "No more.")))),
    Case("messages-then-answer.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": q}], "answer": a, "model": "r"}), Turns(FIRST)),
    Case("preference-without-a-sign.jsonl", lines(lambda q, a: {"prompt": q, "response1": a, "response2": "No.", "overall_preference": 1}), Refuses("below 0 the first is better")),
    Case("toxic.jsonl", numbered(lambda n, q, a: {"conversation": [{"role": "user", "content": q}, {"role": "assistant", "content": a}], "toxic": bool(n % 2)}), Turns(FIRST, 3)),
    Case("thoughts-in-marks.jsonl", lines(lambda q, a: {"system": "Think.", "conversations": [{"from": "user", "value": q}, {"from": "assistant", "value": a}]}), Turns((("system", "Think."), *FIRST))),
    # answers with reasoning, which is shown within the answer here
    Case("thinking-beside.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": q, "thinking": None}, {"role": "assistant", "content": a, "thinking": "Look."}]}), Turns(THOUGHT), {"reasoning": "within"}),
    Case("reasoning-beside.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a, "reasoning": "Look."}]}), Turns(THOUGHT), {"reasoning": "within"}),
    Case("reasoning-in-parts.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a, "reasoning": [{"text": "Look."}]}]}), Refuses("`reasoning` of message 2 is a list")),
    Case("question-cot-response.jsonl", lines(lambda q, a: {"Question": q, "Complex_CoT": "Look.", "Response": a}), Turns(THOUGHT), {"reasoning": "within"}),
    Case("thought-in-column.csv", table("prompt", "completion", "reasoning", make=lambda q, a: [q, a, "Look."]), Turns(THOUGHT), {"reasoning": "within"}),
    Case("thoughts-dropped.jsonl", lines(lambda q, a: {"instruction": q, "input": "", "output": f"<think>\nLook.\n</think>\n\n{a}"}), Turns(FIRST), {"reasoning": "drop"}),
    Case("thinking-dropped.jsonl", lines(lambda q, a: {"question": q, "thinking": "Look.", "answer": a}), Turns(FIRST), {"reasoning": "drop"}),
    # pairs of turns, calls within texts, transcripts that ask
    Case("inputs-and-outputs.jsonl", lines(lambda q, a: {"source": "x", "conversation": [{"input": q, "output": a}, {"input": Q[1], "output": A[1]}]}), Turns(LONG)),
    Case("human-assistant-pairs.jsonl", lines(lambda q, a: {"conversation_id": 1, "conversation": [{"human": q, "assistant": a}]}), Turns(FIRST)),
    Case("two-drafts-are-no-speakers.jsonl", lines(lambda q, a: {"info": {"post": q, "title": "t"}, "summaries": [{"text": a, "policy": "x"}, {"text": "No.", "policy": "y"}]}), Asks(None)),
    Case("calls-in-marks.jsonl", lines(lambda q, a: {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": 'Wait.\n<tool_call>\n{"name": "p", "arguments": {"i": 1}}\n</tool_call>'}, {"from": "tool", "value": "<tool_response>\n24\n</tool_response>"}, {"from": "gpt", "value": a}]}), Turns((FIRST[0], ("assistant", "Wait."), ("tool", "24"), FIRST[1]))),
    Case("calls-as-python.jsonl", lines(lambda q, a: {"conversations": [{"from": "user", "value": q}, {"from": "assistant", "value": '[Shop Prices(item="lamp", n=2), g()]'}, {"from": "tool", "value": "24"}, {"from": "assistant", "value": a}]}), Turns((FIRST[0], ("assistant", ""), ("tool", "24"), FIRST[1]))),
    Case("calls-that-are-none.jsonl", lines(lambda q, a: {"conversations": [{"from": "user", "value": q}, {"from": "assistant", "value": "I look."}, {"from": "tool", "value": "24"}, {"from": "assistant", "value": a}]}), Refuses("roles out of order: message 3 (tool) follows assistant")),
    Case("function-calls-in-transcript.jsonl", lines(lambda q, a: {"chat": f"USER: {q}\n\n\nASSISTANT: <functioncall> {{\"name\": \"p\", \"arguments\": '{{\"i\": 1}}'}} <|endoftext|>\n\n\nFUNCTION RESPONSE: 24\n\n\nASSISTANT: {a} <|endoftext|>"}), Turns((FIRST[0], ("assistant", ""), ("tool", "24"), FIRST[1]))),
    Case("transcript-that-asks.jsonl", lines(lambda q, a: {"instruction": f"Human:{q}\nAssistant:", "input": "", "output": a}), Turns(FIRST)),
    Case("long-transcript-that-asks.jsonl", lines(lambda q, a: {"prompt": f"\n\nHuman: {Q[0]}\n\nAssistant: {A[0]}\n\nHuman: {Q[1]}\n\nAssistant:", "completion": A[1], "n": q}), Turns(LONG)),
    Case("choices-that-are-numbers.jsonl", lines(lambda q, a: {"question": q, "choices": ["1", "2", "3", "24"], "answer": 3}), Turns((("user", f"{Q[0]}\n\nA. 1\nB. 2\nC. 3\nD. 24"), ("assistant", "D. 24")))),
    Case("unanswerable-first.jsonl", numbered(lambda n, q, a: {"question": q, "context": "Shop.", "answers": {"text": [a] if n else [], "answer_start": [0] if n else []}}), Asks(None)),
    Case("better-and-worse.jsonl", lines(lambda q, a: {"prompt": q, "better": a, "worse": "No."}), Turns(FIRST)),
    Case("chosen-response-unknown-prompt.jsonl", lines(lambda q, a: {"instruction_prompts": q, "chosen_response": a, "rejected_response": "No."}), Asks(Turns(FIRST))),
    # texts and what is said of them
    Case("document-summary.jsonl", lines(lambda q, a: {"document": q, "summary": a, "id": "1"}), Asks(Turns(FIRST))),
    Case("article-highlights.jsonl", lines(lambda q, a: {"article": q, "highlights": a, "id": "1"}), Asks(Turns(FIRST))),
    Case("dialogue-summary.jsonl", lines(lambda q, a: {"id": "1", "dialogue": q, "summary": a}), Asks(Turns(FIRST))),
    Case("translations.jsonl", lines(lambda q, a: {"translation": {"en": q, "de": a}}), Asks(Turns(FIRST))),
    Case("sources-and-targets.jsonl", lines(lambda q, a: {"src": q, "tgt": a, "score": 0.4}), Asks(None)),
    Case("prompt-and-label.jsonl", lines(lambda q, a: {"prompt": q, "label": a}), Asks(Turns(FIRST))),
    # code
    Case("intent-snippet.jsonl", lines(lambda q, a: {"question_id": 1, "intent": q, "rewritten_intent": None, "snippet": a}), Asks(Turns(FIRST))),
    Case("text-code-tests.jsonl", lines(lambda q, a: {"task_id": 1, "text": q, "code": a, "test_list": ["assert f() == 1"]}), Asks(Turns(FIRST))),
    Case("prompt-canonical-solution.jsonl", lines(lambda q, a: {"task_id": "1", "prompt": q, "canonical_solution": a, "test": "assert f()"}), Turns(FIRST)),
    Case("question-query.jsonl", lines(lambda q, a: {"db_id": "s", "question": q, "query": a, "query_toks": ["x"]}), Asks(None)),
    Case("problem-solution.jsonl", lines(lambda q, a: {"problem": q, "level": "Level 5", "type": "Algebra", "solution": a}), Asks(Turns(FIRST))),
    # labels
    Case("label-and-its-name.jsonl", numbered(lambda n, q, a: {"text": q, "label": n, "label_text": a}), Asks(Turns(FIRST))),
    Case("several-labels.jsonl", lines(lambda q, a: {"text": q, "labels": [1, 2], "id": "x"}), Asks(None)),
    Case("words-and-tags.jsonl", lines(lambda q, a: {"id": "0", "tokens": ["Aria", "lamp"], "ner_tags": [0, 1]}), Asks(None)),
    Case("text-yes-no.jsonl", lines(lambda q, a: {"index": 1, "answer": a, "text": q}), Asks(Turns(FIRST))),
    # preferences
    Case("two-responses.jsonl", lines(lambda q, a: {"qid": 1, "question": q, "response_j": a, "response_k": "No."}), Turns(FIRST)),
    Case("two-references.jsonl", lines(lambda q, a: {"history": q, "human_ref_A": a, "human_ref_B": "No.", "labels": 1}), Asks(None)),
    Case("scored-completions.jsonl", lines(lambda q, a: {"instruction": q, "completions": [{"response": a, "overall_score": 7.5}, {"response": "No.", "overall_score": 2}], "correct_answers": ["None"]}), Refuses("a score each")),
    Case("ranked-answers.jsonl", lines(lambda q, a: {"prompt": q, "answers": [{"answer": a, "rank": 1.0}, {"answer": "No.", "rank": 2.0}]}), Refuses("a score each")),
    # tasks
    Case("definition-inputs-targets.jsonl", lines(lambda q, a: {"definition": "Answer.", "inputs": q, "targets": a}), Asks(Turns((("user", f"Answer.\n\n{Q[0]}"), FIRST[1])))),
    Case("inputs-targets.jsonl", lines(lambda q, a: {"inputs": q, "targets": a, "language": "English"}), Asks(Turns(FIRST))),
    Case("tokens-and-texts.jsonl", lines(lambda q, a: {"inputs": [1, 2], "inputs_pretokenized": q, "targets": [3], "targets_pretokenized": a}), Asks(Turns(FIRST))),
    Case("alpaca-and-its-text.jsonl", lines(lambda q, a: {"instruction": "Answer.", "input": q, "output": a, "text": f"Below is an instruction.\n\n### Instruction:\nAnswer.\n\n### Input:\n{q}\n\n### Response:\n{a}"}), Turns((("user", f"Answer.\n\n{Q[0]}"), FIRST[1]))),
    Case("alpaca-without-inputs-and-its-text.jsonl", lines(lambda q, a: {"instruction": q, "input": "", "output": a, "text": f"Below is an instruction.\n\n### Instruction:\n{q}\n\n### Response:\n{a}"}), Turns(FIRST)),
    # conversations with keys of their own
    Case("own-keys.jsonl", lines(lambda q, a: {"dialog": [{"wer": "Kunde", "was": q}, {"wer": "Berater", "was": a}]}), Asks(Turns(FIRST))),
    Case("own-keys-and-times.jsonl", lines(lambda q, a: {"id": 1, "log": [{"who": "c", "line": q, "at": "10:00"}, {"who": "b", "line": a, "at": "10:01"}]}), Asks(Turns(FIRST))),
    Case("own-keys-many-people.jsonl", numbered(lambda n, q, a: {"thread": [{"party": f"Person {n}", "words": q}, {"party": "Shop", "words": a}], "ticket": n}), Asks(Turns(FIRST))),
    Case("own-keys-called-history.jsonl", lines(lambda q, a: {"history": [{"nick": "anna", "msg": q}, {"nick": "shop", "msg": a}]}), Asks(Turns(FIRST))),
    Case("a-key-a-speaker.jsonl", lines(lambda q, a: {"dialog": [{"user": q}, {"assistant": a}]}), Turns(FIRST)),
    Case("a-key-a-speaker-unknown.jsonl", lines(lambda q, a: {"dialog": [{"Kundin": q}, {"Beraterin": a}]}), Asks(Turns(FIRST))),
    Case("items-are-no-messages.jsonl", lines(lambda q, a: {"items": [{"color": "red", "note": f"Some long note on {q}"}, {"color": "blue", "note": "Another."}], "q_text": q, "reply_text": a}), Asks(Turns(FIRST))),
    Case("typed-parts.jsonl", lines(lambda q, a: {"question": {"type": "text", "value": q}, "answer": {"type": "text", "value": a}}), Asks(Turns(FIRST))),
    # answers that are true or false, that name a choice, and names of columns below names of groups
    Case("true-false-answers.jsonl", lines(lambda q, a: {"question": q, "answer": "lamp" in q}), Turns((FIRST[0], ("assistant", "true")))),
    Case("passage-and-a-flag.jsonl", lines(lambda q, a: {"question": q, "passage": "Shop.", "label": "lamp" in q}), Asks(Turns((("user", f"Shop.\n\n{Q[0]}"), ("assistant", "true"))))),
    Case("text-and-a-flag.jsonl", lines(lambda q, a: {"text": q, "is_spam": "lamp" in q}), Asks(Turns((FIRST[0], ("assistant", "true"))))),
    Case("claim-and-a-flag.jsonl", lines(lambda q, a: {"claim": q, "supported": "lamp" in q}), Asks(Turns((FIRST[0], ("assistant", "true"))))),
    Case("index-of-options.jsonl", lines(lambda q, a: {"question": q, "options": ["No.", a], "answer_index": 1}), Asks(Turns(KEYED))),
    Case("answer-names-a-column.jsonl", lines(lambda q, a: {"question": q, "option_1": "No.", "option_2": a, "answer": "option_2"}), Turns(KEYED)),
    Case("names-of-groups.csv", "Support,,Meta\n" + table("Question", "Answer", "Agent", make=lambda q, a: [q, a, "Kim"]), Refuses("header_row: 2")),
    Case("many-senders.csv", "ticket,from,body\n" + "".join(f'{n},c{n}@x.org,"{q}"\n{n},help@shop.com,"{a}"\n' for n, (q, a) in enumerate(PAIRS)), Refuses('{"help@shop.com": assistant, "*": user}')),
    Case("draft-and-final.jsonl", lines(lambda q, a: {"question": q, "answer_draft": "hm", "answer_final": a}), Asks(Turns(FIRST))),
)  # fmt: skip
