"""Small edits of an instruction."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.optimize.edits import Edit, apply_edits, similarity

TEXT = "Route the message.\n- Refunds go to billing.\n- Lost cards go to cards."


def test_add_delete_and_replace_touch_one_line_each():
    assert apply_edits(TEXT, [Edit(op="add", text="Be quick.")]) == TEXT + "\nBe quick."
    assert apply_edits(TEXT, [Edit(op="delete", line="refunds go to BILLING")]).splitlines() == [
        "Route the message.",
        "- Lost cards go to cards.",
    ]
    changed = apply_edits(TEXT, [Edit(op="replace", line="1. Lost cards go to cards.", text="Cards go to cards.")])
    assert changed.splitlines()[2] == "Cards go to cards."


def test_a_line_that_is_there_is_not_added_and_one_that_is_not_there_is_not_deleted():
    assert apply_edits(TEXT, [Edit(op="add", text="refunds go to billing")]) == TEXT
    assert apply_edits(TEXT, [Edit(op="delete", line="Something else entirely")]) == TEXT


def test_replacing_what_is_not_there_adds_it():
    assert apply_edits(TEXT, [Edit(op="replace", line="nowhere", text="New.")]).endswith("\nNew.")


def test_the_size_of_a_proposal_is_bounded():
    many = [Edit(op="add", text=f"Rule number {number} about topic {number * 7}.") for number in range(9)]
    assert len(apply_edits(TEXT, many).splitlines()) == 3 + 4
    assert apply_edits(TEXT, [Edit(op="add", text="long " * 1000)]) == TEXT


def test_the_last_line_is_never_deleted():
    assert apply_edits("Only this.", [Edit(op="delete", line="Only this.")]) == "Only this."


@given(st.lists(st.tuples(st.sampled_from(["add", "delete", "replace"]), st.text(), st.text())))
def test_whatever_is_proposed_leaves_some_text(edits: list[tuple[str, str, str]]):
    made = apply_edits(TEXT, [Edit(op=op, line=line, text=text) for op, line, text in edits])  # pyright: ignore[reportArgumentType]
    assert made.strip()


def test_similarity_is_the_share_of_common_words():
    assert similarity("a b c", "A, b!") == 2 / 3
    assert similarity("", "") == 1.0


def test_rules_of_one_template_are_different_rules():
    a = "When the message mentions spexeru the right answer is maroon."
    b = "When the message mentions sirko the right answer is maroon."
    assert apply_edits(a, [Edit(op="add", text=b)]) == f"{a}\n{b}"
    assert (
        apply_edits("30 days: refund", [Edit(op="add", text="60 days: refund")]) == "30 days: refund\n60 days: refund"
    )
    card = "Messages about a lost card go to the cards team"
    never = "Messages about a lost card never go to the cards team"
    assert apply_edits(card, [Edit(op="add", text=never)]) == f"{card}\n{never}"
    assert apply_edits(f"{a}\nKeep.", [Edit(op="delete", line=b)]) == f"{a}\nKeep."
    assert apply_edits("A\n---\nB", [Edit(op="delete", line="===")]) == "A\n---\nB"


def test_what_is_not_edited_stays_to_the_letter():
    text = "You are X.\n\n---\nRules:\n  - a\n\n```python\nif x:\n    y()\n```"
    assert apply_edits(text, [Edit(op="add", text="Be quick.")]) == f"{text}\nBe quick."
    assert apply_edits(text, [Edit(op="delete", line="a")]) == text.replace("  - a\n", "")
