"""What instructions to a model look like inside a text that should only be read. Weights were chosen by hand, on the
train and dev parts of the data sets that docs/guides/built-in-checks.md names."""

from __future__ import annotations

import re
from typing import NamedTuple


class Sign(NamedTuple):
    """One thing that speaks for an injection, how strongly (0..1), and letters of which some are in any such text, so
    that most texts need not be searched."""

    kind: str
    weight: float
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _sign(kind: str, weight: float, hints: str, pattern: str) -> Sign:
    return Sign(kind, weight, tuple(hints.split("|")), re.compile(pattern, re.IGNORECASE | re.MULTILINE))


_RULES = (
    r"(?:instructions?|prompts?|rules?|directions?|directives?|guidelines?|commands?|orders|constraints|restrictions"
    r"|programming|training|messages?|context|text|tasks?|requests?|questions?|safety|policies|everything)"
)
_BEFORE = (
    r"(?:previous|prior|above|earlier|preceding|foregoing|former|existing|original|initial|old|past|system|current)"
)
_MODEL = (
    r"(?:a\.?i\.?(?: (?:model|assistant|agent|system)s?)?|assistants?|llms?|language models?|chat ?bots?|chatgpt|gpt"
    r"|claude|gemini|copilot|agents?|bots?)"
)
_REPLY = r"(?:answers?|responses?|repl(?:y|ies)|outputs?|completions?)"
_ITS = rf"your (?:own |final |next |entire |whole |full )?(?:{_REPLY}|messages?|summar(?:y|ies)|text)\b"
_YOURS = "|".join(
    f"your {word}" for word in ("answer", "repl", "respon", "output", "complet", "messag", "summar", "text", "own",
                                "final", "next", "entire", "whole", "full")
)  # fmt: skip
_TONGUES = "english|spanish|french|german|italian|japanese|chinese|russian|korean|arabic|portuguese"
_CHANGE = (
    r"(?:add|append|prepend|include|insert|integrate|incorporate|embed|augment|enhance|modify|alter|adjust"
    r"|change|convert"
    r"|replace|substitute|swap|render|encode|decode|encrypt|scramble|rearrange|reverse|transform|translate"
    r"|write|rewrite"
    r"|format|structure|provide|deliver|present|express|use|employ|apply|utili[sz]e|begin|start|end|finish"
    r"|conclude|craft"
    r"|misspell|jumble|shuffle|remove|omit|group|combine|capitali[sz]e|repeat|make|turn|anagram|mention|suggest"
    r"|promote"
    r"|recommend|advertise|limit|shorten|spell|mix|disguise|output|print|put|place|slip|weave|infuse|tailor)"
)
_WORK = (
    r"(?:stor(?:y|ies)|poems?|essays?|scripts?|songs?|lyrics|speech|haikus?|limericks?|jokes?|riddles?|puns?|letters?"
    r"|functions?|programs?|(?:code|python|java|javascript|sql|bash|c\+\+)\b[^.\n]{0,20}|algorithms?|recipes?"
    r"|introductions?|conclusions?|blog ?posts?|articles?|tweets?|slogans?|taglines?|headlines?|dialogues?"
    r"|fairy tales?"
    r"|outlines?|plots?|screenplays?|sonnets?|cover letters?|(?:press release|product description"
    r"|social media post)s?)"
)

SIGNS = (
    _sign("override", 0.95, "ignor|disregard|forget|overrid|bypass|follow|attention|mind",
          rf"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|bypass|do not follow|don'?t follow"
          rf"|stop following"
          rf"|pay no attention to|never ?mind)\b(?:[ ,]+(?:all|any|of|the|your|my|our|these|those|every|about|to|and"
          rf"|other|{_BEFORE}))*[ ]+(?:{_BEFORE}[ ]+)(?:(?:set|sets|of|and|or|the|your|system|user) )*{_RULES}\b"),
    _sign("override", 0.9, "ignore|disregard|forget|override|bypass",
          rf"\b(?:ignore|disregard|forget|override|bypass)\b[ ]+(?:all[ ]+)?(?:of[ ]+)?(?:your|these|those|everything"
          rf"|what(?:ever)? (?:you were told|i said|was said)|the)\b[^.\n]{{0,20}}?(?:{_RULES}|above|before)\b"),
    _sign("override", 0.9, "ignor|vergiss|missachte|olvid|descarta|oublie|dimentica",
          r"\b(?:ignorier\w{0,3}|vergiss|missachte)\b[^.\n]{0,40}\b(?:anweisung|vorgaben|regeln|befehle)"
          r"|\b(?:ignor[ae]n?|olvid[ae]|descarta)\b[^.\n]{0,40}\b(?:instrucciones|reglas|órdenes|instruções|regras)"
          r"|\b(?:ignore[zr]?|oublie[zr]?)\b[^.\n]{0,40}\b(?:les|tes|vos) (?:instructions|consignes|règles)"
          r"|\b(?:ignora|dimentica)\b[^.\n]{0,40}\b(?:istruzioni|regole)"),
    _sign("new role", 0.7, "you|act|pretend|role|developer|jailbr|anything|character|instruction",
          r"\b(?:you are now|from now on,? you|henceforth,? you|you will now|you must now|pretend (?:to be"
          r"|that you|you)"
          r"|role-?play as|(?:^|[.!?:;>\"]\s{0,3}|\b(?:please|must|should|will) )act as (?:if you|a|an|my)\b"
          r"|simulate being|developer mode|jailbreak(?:ed)?|do anything now"
          r"|stay in character|your (?:new|real|true|actual|only|primary) (?:instructions?|task|role|goal|job"
          r"|objective"
          r"|purpose|identity|mission)\b|(?:new|updated|additional|important|further"
          r"|following) instructions? ?(?::|for you\b)"
          r"|instead,? (?:you (?:must|should|will)|respond|reply|answer|output|say))"),
    _sign("prompt request", 0.8, "prompt|instruction|message|guideline|rules|configuration",
          r"\b(?:reveal|show|print|repeat|output|tell|display|leak|expose|give|share|write out"
          r"|summari[sz]e)\b[^.\n]{0,30}"
          r"\b(?:your|the|its) (?:(?:full|entire|complete|exact|original|initial|hidden|secret|internal|own"
          r"|system|developer"
          r"|above|previous) ){1,3}(?:prompts?|instructions?|messages?|guidelines|rules|configuration)\b"),
    _sign("role marker", 0.9, "<|inst|sys>|sys>>|turn>|system>|assistant>|developer>|prompt>|message>|##|[|begin",
          r"<\|(?:im_start|im_end|system|user|assistant|endoftext|start_header_id|eot_id|begin_of_text)[^>\n]{0,30}\|>"
          r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?(?:system|assistant|developer)(?:[_-](?:prompt|message"
          r"|instructions?))?>|^\s{0,8}#{2,4} ?(?:system|instruction|assistant|response)s? ?(?:prompt)? ?:"
          r"|\[(?:system|assistant|developer)\](?:\(#|\s{0,3}:)|\bbegin (?:system|hidden) (?:prompt"
          r"|instructions?|message)"),
    _sign("role marker", 0.6, "system|assistant|developer",
          r"^\s{0,8}[*_]{0,2}(?:system|assistant|developer)(?: (?:prompt|message|note))?[*_]{0,2} ?: ?\S"),
    _sign("tool call", 0.75, "<|tool_calls|{|action",
          r"<(?:tool_call|function_calls?|invoke|tool_use|antml:[a-z_]{2,20})\b[^>\n]{0,80}>|\"tool_calls\"\s{0,4}:"
          r"|\{\s{0,8}\"(?:name|tool|function"
          r"|action)\"\s{0,4}:\s{0,4}\"[^\"\n]{1,60}\"\s{0,4},\s{0,8}\"(?:arguments|parameters"
          r"|args|input|tool_input|action_input)\"\s{0,4}:|^Action ?: ?[^\n]{1,60}\nAction Input ?:"),
    _sign("exfiltration", 0.9, "![",
          r"!\[[^\]\n]{0,200}\]\(\s{0,3}https?://[^)\s]{1,400}[?&/=](?:[^)\s]{0,60})(?:\{|%7B|\$|<|\[)"
          r"|!\[[^\]\n]{0,200}\]\(\s{0,3}https?://[^)\s]{1,300}[?&](?:q|d|data|secret|prompt|history"
          r"|conversation|context"
          r"|content|text|info|leak|payload|token|key)="),
    _sign("exfiltration", 0.7, "send|forward|upload|post|transmit|mail|copy|leak|exfiltrate|share|submit",
          r"\b(?:send|forward|upload|post|transmit|e-?mail|copy|leak|exfiltrate|share|submit)\b[ ](?:[^.\n]{0,40}?\b)?"
          r"(?:conversations?|chat history|system prompt|passwords?|api keys?|credentials|secrets|tokens|private keys?"
          r"|contacts|address book|(?:all|every|the (?:last|latest|entire|user'?s?)) (?:\w{1,12} )?(?:e-?mails?"
          r"|files?|data"
          r"|documents?|messages?))\b[^.\n]{0,60}\bto\b[^.\n]{0,20}(?:https?://|www\.|[\w.+-]{1,40}@)"),
    _sign("to the model", 0.75, "ai|a.i|assistant|llm|model|bot|gpt|claude|gemini|copilot|agent",
          rf"\b(?:dear|hey|hi|hello|attention|note (?:to|for)|notice to|message (?:to|for)|instructions? (?:to|for)"
          rf"|important(?: (?:message|note))?(?: (?:to|for))?)\W{{1,4}}(?:the |any |all |you |this )*{_MODEL}\b"
          rf"|\bif you(?: a|')re an? (?:{_MODEL})\b|\b(?:{_MODEL})s? (?:reading|processing|summari[sz]ing"
          rf"|parsing) this\b"),
    _sign("output", 0.6, _YOURS,
          rf"\b{_CHANGE}\b(?:[^.!?\n]|[.!?](?=[\S])|[!?](?=[\"'])){{0,120}}?\b(?:in|into|to|of|from|for|with"
          rf"|within|as|at|by|on)? ?{_ITS}"),
    _sign("output", 0.6, _YOURS, rf"\b(?:in|to|for|throughout|within) {_ITS}[ ,:]{{0,3}}(?:please )?{_CHANGE}\b"),
    _sign("output", 0.6, _YOURS, rf"\b{_CHANGE} {_ITS}"),
    _sign("output", 0.5, _YOURS, rf"(?:^|[.!?>|:]\s{{0,3}})in {_ITS}, ?[a-z]"),
    _sign("output", 0.6, "letter|vowel|consonant|word|character|space",
          r"(?:^|[.!?>|:]\s{0,3}|\bplease )(?:replace|substitute|convert|swap|scramble|reverse|shift|encode"
          r"|misspell|capitali[sz]e"
          r"|rearrange|remove|anagram|jumble|combine|group|use)\b[^.\n]{0,40}\b(?:letters?|vowels?|consonants?|words?"
          r"|characters?|spaces?)\b"),
    _sign("output", 0.6, "respond|reply|answer|write|speak",
          r"\b(?:respond|reply|answer|write back|speak)\b (?:only |just |exclusively |always )*(?:in|with|using|as) "
          r"(?:(?:only|just|nothing but|the|a|an|all|each) )*(?:emojis?|base-?64|morse|binary|hex\w{0,8}"
          r"|rot-?13|cipher|code"
          r"|capital|uppercase|lowercase|caps|reverse|pig latin|leet\w{0,5}|json|rhymes?|riddles?|anagrams?"
          r"|french|spanish"
          r"|german|italian|russian|chinese|japanese|korean|arabic|hindi|portuguese|latin|klingon|word)\b"),
    _sign("task", 0.55, "write|compose|draft|generate|create|develop|provide|give|make|produce|craft|design|tell",
          r"(?:^|[.!?>|]\s{0,3}|\bplease )(?:write|compose|draft|generate|create|develop|provide|give me|make|produce"
          rf"|craft|design|tell me)\b (?:me )?(?:an?|the|some|two|three|\d) (?:[\w'-]{{1,20}} ){{0,4}}{_WORK}\b"),
    _sign("task", 0.55, "python|java|php|sql|c++|html|bash|rust|code",
          r"(?:^|[.!?>|]\s{0,3}|\bplease )(?:(?:can|could|would) you )?(?:write|show me|provide|give me|create"
          r"|implement|develop)\b"
          r"[^.\n]{0,80}\b(?:python|java|javascript|typescript|php|sql|html|css|bash|rust|golang|c\+\+"
          r"|source code)(?![\w])"),
    _sign("task", 0.55, f"translat|how do|how would|how can|{_TONGUES}",
          r"(?:^|[.!?>|]\s{0,3}|\bplease )translate (?:the|this|these|that|'|\"|following)"
          r"|\bhow (?:do|would|can) (?:you|i|we) say ['\"][^'\"\n]{1,80}['\"] in \w{4,12}\b|\bwhat(?:'s"
          r"| is) ['\"][^'\"\n]{1,80}['\"]"
          r" in (?:english|spanish|french|german|italian|japanese|chinese|russian|korean|arabic|portuguese)\b"
          r"|\b(?:provide|give|what is|what's|find) (?:me )?the (?:english|spanish|french|german|italian"
          r"|japanese|chinese|russian"
          r"|korean|arabic|portuguese) (?:equivalent|translation|word|version)\b"),
)  # fmt: skip

TAGS = re.compile("[\U000e0020-\U000e007e]{3,}")
ZERO_WIDTH = re.compile("(?<=[A-Za-z])[\u200b\u2060\ufeff\u00ad\u180e](?=[A-Za-z])")
BIDI = re.compile("[\u202d\u202e\u2066-\u2068]")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff]")
HIDDEN_STYLE = re.compile(
    r"<[a-z][^<>]{0,200}style\s{0,3}=\s{0,3}[\"'][^\"'<>]{0,200}(?:display\s{0,3}:\s{0,3}none"
    r"|visibility\s{0,3}:\s{0,3}hidden"
    r"|font-size\s{0,3}:\s{0,3}[01](?:px|pt|em|%)?\s{0,3}[;\"']|opacity\s{0,3}:\s{0,3}0(?:\.0\d?)?\s{0,3}[;\"']"
    r"|color\s{0,3}:\s{0,3}(?:white|transparent|#fff(?:fff)?)\b)[^<>]{0,300}>(?P<inside>[^<]{0,4000})",
    re.IGNORECASE,
)
BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{32,4000}={0,2}(?![A-Za-z0-9+/_=-])")
HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{2}){24,2000}(?![0-9A-Za-z])")
