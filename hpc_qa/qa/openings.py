"""How a question about one English sentence can begin, as a pattern for structured output.

A model of 135 million parameters asked freely for a question mostly drifts off the sentence. Held to "Which command
does not copy ..." after "The backup command does not copy hidden files." it goes on with the rest of the sentence. The
subject is found by its form; where that is not plain there is no opening, and the model begins as it likes.
"""

import re

LEAD_WORDS = 3  # of the predicate are given
MIN_PREDICATE_WORDS = 4
MAX_SUBJECT_WORDS = 7
REST = r"[^\"?\\\n]*\?$"

AUXILIARY = "is|are|was|were|has|have|had|does|do|did|can|could|may|might|must|shall|should|will|would|cannot"
# Other verbs only where their ending and a determiner behind them leave little doubt: "assigns every job".
_VERB = re.compile(
    rf"\b(?:{AUXILIARY})\b"
    r"|(?<=\w\s)[a-z]{2,}(?:s|ed)(?=\s(?:the|an?|its|their|all|any|no|every|each|only|both|several|two|three)\s)"
)
_NO_SUBJECT = re.compile(
    r"^(?:if|when|since|because|although|while|after|before|unless|in|on|at|to|for|from|with|without|by|as|of|during|until"
    r"|once|there|what|which|who|how|where|why|whether|not|only|many|most|some|all|more|less|such|so|but|and|or|yet|also"
    r"|often|initially|currently|usually|typically|generally|normally|then|thus|therefore|please|no|every|each|use|let"
    r"|both|either|neither|given|despite|under|over|through|within|like|unlike|perhaps|inevitably|several|few|another)\b"
    r"|[,;:—()\[\]\"]|\s[-–]\s|\b(?:that|which|who|whose|whom)\b|\b(?:and|or|not|also|of|to|the|a|an|in|for)$",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"^(If|When|Whenever|Once) ([^,;:]+),")
_PRONOUN = re.compile(r"\b(?:it|its|they|them|their|this|these|he|she|him|his|her|we|us|our)\b", re.IGNORECASE)
_DEFINES = re.compile(r"^(is|are|was|were) (?:an?|the) ")
_PART = re.compile(r"\s(?:of|for|in|from|to|on|with|by|at|about|between|under|within)\s.*")
_LINKING_WORD = re.compile(r"(?:therefore|thus|hence|however|consequently) ")
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_NOUN = re.compile(r"(?!.*(?:self|selves|ing|ly)$|ones?$|others?$|same$)[a-z][a-z-]{2,}")


def opening(sentence: str) -> str | None:
    """A pattern that a whole question about the sentence matches, or None.

    >>> str(opening("The backup command does not copy hidden files.")).removesuffix(REST)
    '^(Which command|What|Who) does not copy'
    """
    condition = _CONDITION.match(sentence)
    if condition:
        lead = None if _PRONOUN.search(condition.group(2)) else _lead(condition.group(2))
        return f"^What happens {condition.group(1).lower()} {lead}{REST}" if lead else None
    parts = _split(sentence)
    if parts is None:
        return None
    subject, predicate = parts
    defines = _DEFINES.match(predicate)
    if defines:
        name = _name(subject)
        return rf"^What {defines.group(1)} {name}\?$" if name else None
    lead = _lead(predicate) if len(re.split("[,;:]", predicate)[0].split()) >= MIN_PREDICATE_WORDS else None
    return f"^({_asks_for(subject)}) {lead}{REST}" if lead else None


def whole_question(sentence: str) -> str | None:
    """A question that the sentence answers, made of its own words without a model; None where its form is not plain.

    >>> whole_question("The backup command does not copy hidden files.")
    'Which command does not copy hidden files?'
    """
    if opening(sentence) is None:
        return None
    condition = _CONDITION.match(sentence)
    if condition:
        return f"What happens {condition.group(1).lower()} {condition.group(2)}?"
    parts = _split(sentence)
    if parts is None:
        return None
    subject, predicate = parts
    if defines := _DEFINES.match(predicate):
        name = _name(subject)
        return f"What {defines.group(1)} {name}?".replace("\\.", ".") if name else None
    asks_for = _asks_for(subject).split("|")[0]
    return f"{asks_for} {predicate}?" if asks_for.startswith("Which ") else None


def _split(sentence: str) -> tuple[str, str] | None:
    """Subject and predicate, when the subject is a short plain noun phrase."""
    verb = _VERB.search(sentence)
    if verb is None:
        return None
    subject = sentence[: verb.start()].strip()
    predicate = _LINKING_WORD.sub("", sentence[verb.start() :]).rstrip(". ")
    if not 1 <= len(subject.split()) <= MAX_SUBJECT_WORDS or _NO_SUBJECT.search(subject):
        return None
    if re.match(r"(?:is|are|was|were) to\b", predicate):
        return None
    # "The part associated the ... is": the first verb belongs to the subject.
    if verb.group().endswith("ed") and re.search(rf"\b(?:{AUXILIARY})\b", predicate):
        return None
    return subject, predicate


def _lead(text: str) -> str | None:
    """The first words, as far as they are plain words; fewer than two give the model no hold."""
    taken: list[str] = []
    for word in text.split()[:LEAD_WORDS]:
        if not _PLAIN_WORD.fullmatch(word):
            break
        taken.append(word)
    return " ".join(taken) if len(taken) >= 2 else None


def _asks_for(subject: str) -> str:
    """What stands for the subject in the question: "Which command" where its noun is plain, else What or Who."""
    phrase = _PART.sub("", f"{subject} ").strip()
    words = phrase.split()
    simple = len(words) > 1 and not {"and", "or"} & set(words) and not words[0].endswith("ing")
    if simple and _NOUN.fullmatch(words[-1]):
        return f"Which {words[-1]}|What|Who"
    return "What|Who"


def _name(subject: str) -> str | None:
    """The subject as it stands inside a question, escaped."""
    if not re.fullmatch(r"[\w .'-]+", subject):
        return None
    article = re.match(r"(?:The|An?) ", subject)
    return (subject[0].lower() + subject[1:] if article else subject).replace(".", r"\.")
