# ruff: noqa: E501 (patterns stay on one line)
"""Takes out of a student's words what could tell who wrote them, before a model reads them. Pure.

Names, telephone numbers, addresses, mail, links and account names become "[name]", "[number]" and so on. What the
lesson itself names (people, places, years, the address of the works) stays. The stored answer is never touched.
"""

import re
from collections.abc import Callable

from sessions_app.domain.tutor.text import folded


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FIRST_NAMES = _words(
    """
    aaliyah aaron abby abigail adam adrian aidan aiden alejandro alex alexa alexander alexis alicia allison alyssa
    amanda amber amelia amir amy ana andrea andres angel angela angelina anna anthony antonio ariana ariel arjun
    asher ashley ashton ava avery ayden bailey beatriz bella ben benjamin bianca brandon brayden brenda breanna
    brian brianna brittany brody brooke bryan caleb cameron camila camille carla carlos carmen caroline carter
    catherine cecilia chase chloe chris christian christina christine christopher claire cody colin connor
    courtney crystal damian daniel daniela danielle darius darnell david deandre deja delilah denise deshawn
    desiree destiny devin diana diego dominic dylan ebony eduardo edward elena eli elias elijah elizabeth ella
    ellie emily emma eric erica erin esmeralda esteban ethan eva evan evelyn fatima felix fernanda fernando
    gabriel gabriela gabriella gavin george gianna giovanni grayson gregory hailey haley hannah harper hassan
    hayden heather hector henry ian ibrahim imani isaac isabel isabella isaiah isla ivan jack jackson jacob jada
    jaden jake jalen jamal james jamie janelle jared jasmine jason javier jayden jayla jaylen jeremiah jeremy
    jerome jesse jessica jesus joel john jonah jonathan jordan jorge jose joseph josh joshua josiah joy juan julia
    julian juliana julie justin kaitlyn kamryn karen karina karla katherine kayla kaylee keisha kelly kelsey
    kendra kennedy kevin khalil kiara kimberly kyle kylie landon latoya laura lauren layla leah leo leonardo
    leslie levi liam lily linda lisa logan lucas luis luke luna lucy mackenzie madeline madison makayla malachi
    malik manuel marcus margaret maria mariah mariana marisol marquis marvin mason mateo matthew maya megan
    melanie melissa mia miguel mikayla michael michelle miranda mohamed mohammed monica morgan muhammad mya naomi
    natalia natalie nathan nathaniel nevaeh nia nicholas nicole nina noah noor nora oliver olivia omar oscar owen
    paige pablo patricia patrick paul pedro peter priya rachel rafael raj rebecca ricardo riley robert rodrigo
    rosa ruby ryan ryder sabrina samantha samuel sandra santiago sara sarah savannah sean sebastian selena
    serenity shaniqua shawn sienna sierra simon skylar sofia sophia sophie stephanie stephen steven sydney tamara
    tanisha tatiana tayshaun taylor teresa terrell thomas tiffany timothy tori travis trent trevon trevor trinity
    tristan tyler tyrone valentina valeria vanessa veronica victor victoria vincent violet wesley william wyatt
    xavier ximena yasmin yesenia zachary zaire zion zoe zoey
    """
)
_NO_NAMES = _words(
    """
    a an the so not very too really just also still from in at on going gonna glad sad happy mad angry sorry sure
    here there black white african american latino latina hispanic mexican asian native indian chinese british
    english irish spanish christian muslim jewish catholic hindu southern northern virginian confederate union
    republican democrat and but or i because what why how that this it they we you who when where my his her their
    enslaved free tired bored done confused thinking interested surprised shocked curious proud born is was are
    were of for to like no yes ok idk y pero de del la el estoy soy muy un una que como si en mr mrs ms miss
    """
)
_RELATIVES = (
    r"(?:mom|mother|mama|dad|father|papa|brother|sister|cousin|uncle|aunt|grandma|grandpa|grandmother|grandfather"
    r"|friend|bestie|bff|boyfriend|girlfriend|teacher|coach|neighbor|stepdad|stepmom|hermano|hermana|amigo|amiga"
    r"|primo|prima|mamá|papá|tío|tía)"
)
_WORD = r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*"
_SELF = re.compile(
    rf"(?i)\b(?P<lead>(?:my|mi)\s+(?:full\s+|first\s+|last\s+|real\s+|middle\s+)?(?:name|nombre|apellido|nickname|surname)"
    rf"(?:\s*(?:is|es|was|\u2019s|'s|:|=)|s)?\s+|\bname:\s*|\bme\s+llamo\s+|\bcall\s+me\s+|\bpeople\s+call\s+me\s+)"
    rf"(?P<name>{_WORD}(?:\s+{_WORD}){{0,2}})"
)
_I_AM = re.compile(
    rf"(?P<lead>(?i:\b(?:i\s+am|i\s*['\u2019]?m|this\s+is|soy|yo\s+soy)\s+"
    rf"|\bmy\s+(?:\w+\s+)?{_RELATIVES}\s*(?:,|is|named|called|is\s+called|se\s+llama)?\s+|\bmi\s+{_RELATIVES}\s+))"
    rf"(?P<name>{_WORD}(?:\s+{_WORD}){{0,2}})"
)
_TITLED = re.compile(rf"(?P<lead>(?i:\b(?:mr|mrs|ms|miss|coach|se\u00f1ora?|sra?)\b\.?\s+))(?P<name>{_WORD})")
_ANY_NAME = re.compile(rf"\b[^\W\d_a-z]{_WORD}(?:\s+[^\W\d_a-z]{_WORD})?")

_MAIL = re.compile(
    r"(?i)\b[\w.+-]+\s?@\s?[\w-]+(?:\.[\w-]+)+|\b[\w.+-]+\s*[(\[]?\s*\b(?:at|arroba)\b\s*[)\]]?\s*[\w-]+"
    r"\s*[(\[]?\s*\b(?:dot|punto)\b\s*[)\]]?\s*(?:com|org|net|edu|gov|us|mx|es)\b"
)
_LINK = re.compile(
    r"(?i)\bhttps?://\S+|\bwww\.\S+|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|io|co|gg|tv|ly|app|me)\b(?:/\S*)?"
    r"|\b[\w-]+ dot (?:com|org|net|edu|gov)\b"
)
_HANDLE = re.compile(
    r"(?i)(?<![\w.\[])@\w[\w.]+|(?P<lead>\b(?:insta(?:gram)?|snap(?:chat)?|tik ?tok|discord|twitter|facebook|fb|ig|whatsapp"
    r"|xbox|psn|roblox|youtube|gamer ?tag|user ?name|screen ?name|handle|usuario)(?: (?:name|handle|user|account))?"
    r"\s*(?:is|es|:|=)\s*@?)(?P<handle>[^\s@]+)"
)
_NUMBER = re.compile(r"(?<![\w$.])\+?\(?\d(?:[\s().\u2010-\u2015-]{0,3}\d){6,}(?!\w)|\b\d{3}-\d{2}-\d{4}\b")
_YEARS = re.compile(r"1[5-9]\d\d|20\d\d")
_DIGIT_WORD = r"(?:zero|oh|o|one|two|three|four|five|six|seven|eight|nine|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve)"
_SPELLED = re.compile(rf"(?i)\b{_DIGIT_WORD}(?:[\s,-]+{_DIGIT_WORD}){{6,}}\b")
_KINDS = (
    r"(?:street|st|avenue|ave|road|rd|drive|dr|lane|ln|court|ct|boulevard|blvd|place|pl|way|circle|cir|terrace|ter"
    r"|parkway|pkwy|highway|hwy|trail|turnpike|pike)"
)
_PART = r"(?!(?:in|on|at|of|the|and|to|from|with|men|people|workers|was|were|years|feet|miles|fire)\b)[^\W_][\w'.-]*"
_ADDRESS = re.compile(
    rf"(?i)\b\d{{1,5}}[a-d]?\s+{_PART}(?:\s+{_PART}){{0,2}}\s+{_KINDS}\b\.?(?:,?\s*(?:apt|apartment|unit|#)\.?\s*\w+)?"
    rf"|\b(?:apt|apartment|unit)\.?\s*#?\d+\w?\b|\bp\.?\s?o\.?\s+box\s+\d+|\b(?:calle|avenida)\s+{_PART}(?:\s+{_PART}){{0,2}}"
    rf"|\b(?:va|virginia|zip|zip code)[\s:]+\d{{5}}(?:-\d{{4}})?\b"
)
_LIVES = re.compile(
    rf"(?i)(?P<lead>\b(?:live|lives|living|stay|stays|house is|home is)\s+(?:on|at|off|in|near)\s+)"
    rf"(?P<where>(?:{_PART}\s+){{1,3}}{_KINDS})\b"
)


def masking(lesson: str) -> Callable[[str], str]:
    """What masks an answer to a lesson: `lesson` is its whole text, whose names and addresses stay."""
    known = frozenset(folded(word) for word in re.findall(rf"\b[^\W\d_a-z]{_WORD}", lesson))
    places = " ".join(" ".join(folded(line) for line in lesson.splitlines()).split())

    def mask(text: str) -> str:
        text = _MAIL.sub("[mail]", text)
        text = _LINK.sub("[link]", text)
        text = _HANDLE.sub(lambda m: f"{m['lead'] or ''}[account]", text)
        text = _ADDRESS.sub(lambda m: m[0] if " ".join(folded(m[0]).split()) in places else "[address]", text)
        text = _LIVES.sub(lambda m: m[0] if folded(m["where"]) in places else f"{m['lead']}[address]", text)
        text = _SPELLED.sub("[number]", _NUMBER.sub(_number, text))
        text = _SELF.sub(_own_name, text)
        text = _TITLED.sub(lambda m: _said_name(m, known), text)
        text = _I_AM.sub(lambda m: _said_name(m, known), text)
        return _ANY_NAME.sub(lambda m: _common_name(m[0], known), text)

    return mask


def _number(match: re.Match[str]) -> str:
    """Years that stand side by side are none."""
    groups = re.findall(r"\d+", match[0])
    return match[0] if all(_YEARS.fullmatch(group) for group in groups) else "[number]"


def _own_name(match: re.Match[str]) -> str:
    """Whatever follows "my name is" is one, up to three words, to the first that is none."""
    words = match["name"].split()
    count = next((i for i, word in enumerate(words) if folded(word) in _NO_NAMES), len(words))
    if not count:
        return match[0]
    return " ".join([f"{match['lead']}[name]", *words[count:]])


def _said_name(match: re.Match[str], known: frozenset[str]) -> str:
    """After "I'm", a title or a relative: a capital, or one of the common first names; none of the lesson's."""
    words = match["name"].split()
    count = 0
    for word in words:
        plain = folded(word).removesuffix("'s")
        fits = word[:1].isupper() or plain in _FIRST_NAMES
        if not fits or plain in _NO_NAMES or plain in known:
            break
        count += 1
    return " ".join([f"{match['lead']}[name]", *words[count:]]) if count else match[0]


def _common_name(found: str, known: frozenset[str]) -> str:
    first, *rest = found.split()
    plain = folded(first).removesuffix("'s")
    if plain not in _FIRST_NAMES or plain in known:
        return found
    kept = [word for word in rest if folded(word) in known or folded(word) in _NO_NAMES]
    return " ".join(["[name]", *kept])
