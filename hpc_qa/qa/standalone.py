"""Whether a question makes sense to somebody who has never seen its document.

Works by what is forbidden: pointing at the text, pointing at nothing, a pronoun as the subject. That a question names
its programme or state is more than words can show; the judge rates that as clarity.
"""

import re

from hpc_qa.qa.words import content_words

_NOUN = (
    "(?:text|passage|document|section|sentence|paragraph|chapter|page|table|figure|example|list|excerpt|context|chunk"
    "|statement|above|article|snippet|description|heading)"
)
_WORK = "(?:manual|guide|handbook|author|source|information|material)s?"  # by which a text speaks of itself as a whole
_POINTS_AT_THE_TEXT = re.compile(
    rf"""
    \b(?: (?:according\ to|based\ on|in|from|of|by|per)
          \ (?:the|this|that)\ (?:given\ |above\ |following\ |provided\ |previous\ )?{_NOUN}
        | (?:according\ to|based\ on|per|(?:described|defined|outlined|explained|stated|noted|listed)\ in)
          \ (?:the|this|that)\ (?:given\ |above\ |following\ |provided\ |previous\ )?{_WORK}
        | (?:the|this|that)\ (?:{_NOUN}|{_WORK})
          \ (?:say|state|describe|mention|refer|talk|discuss|explain|mean|provide|suggest|indicate)s?
        | (?:the|this|that)\ {_NOUN}\ (?:above|below) | information\ (?:provided|given|above|below)
        | aforementioned | aforesaid | above-mentioned | (?:table|figure)\ \d+
        | (?:the|this|that)\ (?:above|following|given|provided|previous|preceding)
        | (?:mentioned|described|stated|discussed|listed|shown|noted)\ (?:above|below|here|earlier|previously)
        | mentioned | quoted | sentence\ \[?\d+
    )\b
    | \b(?:above|below)\b\W*$
    | \[\d+\]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_POINTS_AT_NOTHING = re.compile(
    r"\b(?:this|these|those)\b|\bthat (?:is|was|does|do|did|mean)\b(?=\W*$)"
    r"|\bhere\b(?=\W*$)|\bthe (?:former|latter)\b",
    re.IGNORECASE,
)
_PRONOUN_SUBJECT = re.compile(
    r"""
    ^(?: (?:what|who|whom|whose|how|why|when|where|which)\b (?:\W+\w+){0,2}? \W+ )?
    (?:is|are|was|were|does|do|did|can|could|should|must|may|shall|will|would|has|have|had)(?:n't)?\s+
    (?:it|they|he|she|we|i|one)\b
    (?! \s+(?:possible|necessary|required|allowed|permitted|important|recommended|safe|better|useful|sufficient) )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def stands_alone(question: str) -> bool:
    """No pointing, no pronoun as subject, and at least one word that is about something."""
    if points_at_the_text(question) or _POINTS_AT_NOTHING.search(question):
        return False
    return not _PRONOUN_SUBJECT.search(question) and bool(content_words(question))


def points_at_the_text(text: str) -> bool:
    """Whether the text speaks of a text that its reader does not have: "according to the table above"."""
    return bool(_POINTS_AT_THE_TEXT.search(text))
