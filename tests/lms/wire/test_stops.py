"""Stop texts for models that take none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.lms.wire.dialect import Notes
from outlast.lms.wire.stops import Cutter, cut, emulated
from outlast.messages import Citation, Response, TextDelta, ThoughtDelta, TokenLogprob, ToolCall, ToolDelta


def test_a_reply_ends_before_the_first_stop_text():
    response = Response(
        "one STOP two END",
        finish="length",
        citations=(Citation(start=0, stop=12), Citation(start=9, stop=11), Citation("x")),
        logprobs=tuple(TokenLogprob(token, -1.0) for token in ("one ", "ST", "OP", " two")),
        tool_calls=(ToolCall("a", "f", "{}"),),
    )
    short = cut(response, ("END", "STOP"))
    assert (short.text, short.finish, short.tool_calls) == ("one ", "stop", ())
    assert short.citations == (Citation(start=0, stop=4), Citation("x"))
    assert short.logprobs is not None
    assert [token.token for token in short.logprobs] == ["one "]
    assert cut(response, ("nowhere",)) is response
    assert cut(response, ()) is response


def test_what_is_cut_here_is_noted_but_not_as_missing():
    notes = Notes()
    assert emulated(("END",), "'m' takes none", notes) == ("END",)
    assert emulated(None, "", notes) == ()
    assert len(notes.texts) == 1
    assert notes.dropped == []


PIECES = st.text(st.sampled_from("abE"), max_size=6)


@given(st.lists(PIECES, max_size=12), st.lists(st.text(st.sampled_from("abE"), min_size=1, max_size=4), max_size=3))
def test_a_stream_shows_what_the_cut_reply_says(pieces, stops):
    cutter = Cutter(tuple(stops))
    shown = "".join(cutter.feed(piece) for piece in pieces) + cutter.rest()
    assert shown == cut(Response("".join(pieces)), tuple(stops)).text


def test_nothing_of_a_stop_text_is_ever_shown():
    cutter = Cutter(("END",))
    assert [cutter.feed(piece) for piece in ("a E", "N", "DE")] == ["a ", "", ""]
    assert cutter.rest() == ""
    cutter = Cutter(("END",))
    assert (cutter.feed("aEN"), cutter.rest(), cutter.rest()) == ("a", "EN", "")


def test_calls_after_the_stop_are_not_shown_and_other_events_are():
    cutter = Cutter(("END",))
    thought, call = ThoughtDelta("hm"), ToolDelta(0, "a", "f")
    assert cutter.shown([TextDelta("aE"), thought, call]) == [TextDelta("a"), thought, call]
    assert cutter.shown([TextDelta("ND b"), thought, call]) == [thought]
    assert Cutter(()).shown([TextDelta(""), call]) == [TextDelta(""), call]


def test_the_stop_text_that_is_complete_first_counts():
    assert cut(Response("xabE"), ("abE", "b")).text == "xa"
    assert cut(Response("xab"), ("ab", "b")).text == "x"
