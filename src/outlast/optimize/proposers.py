"""The programs that write proposals. They are ordinary modules: swap them, tune them, compile them.

What they are shown (traces, answers of models, feedback) is data, and what they write goes into a candidate only
through `edits`, within its bounds.
"""

from __future__ import annotations

from pydantic import BaseModel

from outlast.optimize.edits import Edit
from outlast.signatures.field import input, output
from outlast.signatures.signature import Signature

__all__ = [
    "AdviseFromContrast",
    "ApplyCriticism",
    "BeatAttempts",
    "CombineInstructions",
    "CriticizeStep",
    "DescribeData",
    "DescribeFields",
    "DescribeTools",
    "Description",
    "InduceRules",
    "ProposeInstruction",
    "ReflectOnFailures",
    "RewriteInstruction",
    "VaryInstruction",
]


class ReflectOnFailures(Signature):
    """Improve the instruction of one module of a program by small edits.

    Read the episodes, find out what the module would have had to know or do to answer the failed ones rightly, and
    write that down as lines that hold for all inputs of this kind, not for one example alone. Keep what works. Delete
    or replace a line that misleads. Do not propose again what was tried without success.
    """

    module: str = input(desc="which module it is and what it is for")
    instruction: str = input(desc="its instruction now, line by line")
    episodes: str = input(desc="what the program did on some examples, with the score and what was expected")
    tried: str = input(desc="edits that were tried and did not help")
    diagnosis: str = output(desc="what went wrong, in a sentence or two")
    edits: list[Edit] = output(desc="at most 4 edits of single lines")


class RewriteInstruction(Signature):
    """Write a better instruction for one module of a program, whole.

    Read the episodes and the feedback; keep every fact in the instruction that is still right, and add what the failed
    examples show to be missing.
    """

    module: str = input(desc="which module it is and what it is for")
    instruction: str = input(desc="its instruction now")
    episodes: str = input(desc="what the program did on some examples, with the score and what was expected")
    improved: str = output(desc="the new instruction, complete")


class ProposeInstruction(Signature):
    """Write an instruction for one module of a program, from what the program and its data are.

    Say what a model needs to know to answer well. A different angle than the instruction now is welcome.
    """

    program: str = input(desc="the program's code and modules")
    module: str = input(desc="which module the instruction is for")
    instruction: str = input(desc="its instruction now")
    data: str = input(desc="what the data look like, with examples")
    tip: str = input(desc="what to pay attention to")
    proposed: str = output(desc="the new instruction, complete")


class InduceRules(Signature):
    """Find rules that explain the expected answers of these examples.

    A rule is one line that can be applied to new inputs. Leave out what holds for one example only.
    """

    module: str = input(desc="which module the rules are for and what it is for")
    instruction: str = input(desc="its instruction now")
    examples: str = input(desc="inputs with the answers that were expected")
    rules: list[str] = output(desc="at most 10 rules, the most useful first")


class DescribeData(Signature):
    """Say what is typical of these data: topics, wording, length, how inputs lead to the expected answers."""

    data: str = input(desc="how many there are, how often each answer occurs, and some examples")
    observations: str = output(desc="what whoever writes instructions for this task should know, in a few sentences")


class VaryInstruction(Signature):
    """Write an instruction that asks for the same as this one in other words, and better."""

    module: str = input(desc="which module the instruction is for and what it is for")
    instruction: str = input(desc="its instruction now")
    improved: str = output(desc="the new instruction, complete")


class BeatAttempts(Signature):
    """Write an instruction that scores higher than all those that were tried.

    See what the better ones have that the worse ones lack, and do not repeat any of them.
    """

    module: str = input(desc="which module the instruction is for and what it is for")
    attempted_instructions: str = input(desc="those that were tried, each with its score from 0 to 100, the best last")
    examples: str = input(desc="inputs with the answers that were expected")
    improved: str = output(desc="the new instruction, complete")


class CombineInstructions(Signature):
    """Make one instruction out of two that are for the same module, with what is best in each."""

    module: str = input(desc="which module the instructions are for and what it is for")
    first_instruction: str = input(desc="one instruction")
    second_instruction: str = input(desc="another one")
    merged: str = output(desc="the new instruction, complete, not longer than it must be")


class CriticizeStep(Signature):
    """Say what one module of a program should have answered differently, so that the final answer would be right.

    Criticise the answer, do not give a new one, and say what holds for other inputs too.
    """

    module: str = input(desc="which module it is and what it is for")
    instruction: str = input(desc="its instruction now")
    step: str = input(desc="what the module was given and what it answered")
    verdict: str = input(desc="what was said about what came of this answer: by the metric, or of later modules")
    criticism: str = output(desc="what is wrong with the answer and why, in a few sentences")


class ApplyCriticism(Signature):
    """Improve the instruction of one module by what was criticised in its answers. Keep what was not criticised."""

    module: str = input(desc="which module it is and what it is for")
    instruction: str = input(desc="its instruction now")
    criticism: str = input(desc="what was criticised in its answers to some examples")
    improved: str = output(desc="the new instruction, complete")


class Description(BaseModel):
    """A new description of a field, a tool or an argument, by its name."""

    name: str
    text: str


class DescribeFields(Signature):
    """Improve what a prompt says of single fields of one module, so that the failed examples would have gone right.

    A description is one or two sentences: what the field holds, what counts and what does not, in which cases which
    value. It holds for all inputs of this kind. Change only what needs it, and do not propose again what was tried
    without success.
    """

    module: str = input(desc="which module it is and what it is for")
    descriptions: str = input(desc="its fields with their descriptions now, a line each")
    episodes: str = input(desc="what the program did on some examples, with the score and what was expected")
    tried: str = input(desc="descriptions that were tried and did not help")
    diagnosis: str = output(desc="what was misunderstood, in a sentence or two")
    changed: list[Description] = output(desc="at most 2 fields with a new description")


class DescribeTools(Signature):
    """Improve what a model is told of single tools and their arguments, so that it calls the right ones rightly.

    A description is one or two sentences: what the tool does, when to call it and when not, what an argument must be.
    Change only what needs it, and do not propose again what was tried without success.
    """

    module: str = input(desc="which module has the tools and what it is for")
    descriptions: str = input(desc="tools, and tool.argument for arguments, with their descriptions now, a line each")
    episodes: str = input(desc="what the program did on some examples, with the score and what was expected")
    tried: str = input(desc="descriptions that were tried and did not help")
    diagnosis: str = output(desc="what was misunderstood, in a sentence or two")
    changed: list[Description] = output(desc="at most 2 tools or arguments with a new description")


class AdviseFromContrast(Signature):
    """Compare a good and a bad run of a program on the same input, and advise its modules.

    Find out what the modules did otherwise in the good run. For each module that went wrong say in one or two sentences
    what it should do when it is given something like this, so that it holds for other inputs too. Leave out modules
    that made no difference.
    """

    program: str = input(desc="the program's code and modules")
    modules: str = input(desc="the names of its modules")
    better: str = input(desc="the good run, with its score")
    worse: str = input(desc="the bad run, with its score and what was expected")
    advice: dict[str, str] = output(desc="advice by the name of the module")
