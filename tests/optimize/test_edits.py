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
def test_whatever_is_proposed_gives_lines_without_breaks(edits: list[tuple[str, str, str]]):
    made = apply_edits(TEXT, [Edit(op=op, line=line, text=text) for op, line, text in edits])  # pyright: ignore[reportArgumentType]
    assert made.strip()
    assert all(line.strip() for line in made.split("\n"))


def test_similarity_is_the_share_of_common_words():
    assert similarity("a b c", "A, b!") == 2 / 3
    assert similarity("", "") == 1.0
