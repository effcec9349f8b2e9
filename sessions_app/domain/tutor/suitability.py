# ruff: noqa: E501 (phrases stay on one line)
"""What a question to a minor may be about: the lesson, and nothing that belongs to the student alone. Pure.

    The rules deny by default where they can: a question must touch the segment
    and "your" may stand only before things
    that a lesson asks about. Lists of words close what is left. A refused question costs the student nothing
    for the
prepared one takes its place, so a rule may well refuse a little too much.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

from sessions_app.domain.tutor.protocol import Concept, QuestionRequest
from sessions_app.domain.tutor.text import STOP_WORDS, content_stems, folded, stem, stems, words

MIN_ENGLISH_SHARE = 0.25
"""Of the words of a question, so many are everyday English words; the lowest share of the good ones is 0.33."""


def _any_of(text: str) -> re.Pattern[str]:
    """The words and phrases of a text, one after another and separated by commas or line ends."""
    entries = [entry.strip() for entry in re.split(r",\s+|\n", text) if entry.strip()]
    return re.compile(r"\b(?:" + "|".join(entries) + r")\b")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# --- the lesson -----------------------------------------------------------------------------------

_GENERIC = frozenset(
    stem(word)
    for word in _set(
        """people person man men woman women child children family families name names first last year years day days
        night time times number life lives home house money food right left part
        parts point points view side choose choice friend best good great new old young high hard long small
        large big real idea ideas write wrote written told ask asked question questions answer answers
        start started
        turn turned today someday city town street church school book books game games order orders keep
        kept carry
        move moved pushed owner need meet met visit build building buildings open closed fire
        guards power drop leader names past points land state states show tell stories law center"""
    )
)
"""Words of the narration that any question could use: alone they do not show that it is about the lesson."""
_LESSON = _any_of(
    r"""th(?:is|e) (?:whole |old )?(?:place|story|lesson|site|segment|history|past|ironworks|works|museum|dialogue)
    this (?:part|chapter) of
    these (?:walls?|ideas?|questions|events|people|years|workers|buildings?|stories)
    (?:the )?(?:walls|bricks|buildings|river) around you, old (?:walls?|buildings?|places?|factor(?:y|ies))
    you (?:just |have |have just )?(?:heard|read|listened)
    your (?:own )?(?:\w+ )?(?:answers?|ideas) (?:together|fit)
    your (?:first|second|two|earlier|last) (?:\w+ )?(?:answers?|ideas?|thoughts?)
    who (?:lived|worked) (?:here|there)
    back then, in those days, a place when its"""
)


def off_lesson(text: str, request: QuestionRequest) -> bool:
    """Neither a word of the segment nor the lesson itself ("this place", "what you just heard") is in it."""
    asked = {_ROOTS.get(word, word) for word in content_stems(text)}
    told = (request.segment_title, request.segment_summary, request.location_name)
    lesson = _words_of(told, request.narration, request.key_concepts)
    return not (lesson & asked or _LESSON.search(_plain(text)))


@lru_cache(maxsize=16)
def _words_of(told: tuple[str, ...], narration: str, concepts: tuple[Concept, ...]) -> frozenset[str]:
    """The words of the segment: its cues, title, summary and phrases, and what the narration says more than once."""
    heard = Counter(stems(narration))
    repeated = {word for word, count in heard.items() if count > 1} & content_stems(narration)
    cues = {word for c in concepts for cue in c.cues for word in content_stems(cue)}
    told_words = content_stems(" . ".join([*told, *(c.phrase for c in concepts)]))
    return frozenset(_ROOTS.get(word, word) for word in (told_words | repeated) - _GENERIC | cues)


_ROOTS = {
    "paid": "pay",
    "unpaid": "pay",
    "sold": "sell",
    "bought": "buy",
    "slave": "enslav",
    "slavery": "enslav",
}
"""Forms that the stemmer does not bring together."""


# --- the student's own life -----------------------------------------------------------------------

_YOUR = re.compile(r"\b(?:your|ur|yr|yer|yours|thy)\b(?P<things>[^,.;:?!()“”\"]*)")
_ADJECTIVES = _set(
    """own first second third last two earlier previous next whole early older old best favorite local
    present everyday daily nearest very great big other new personal honest short"""
)
_THINGS = frozenset(
    stem(word)
    for word in _set(
        """mind thought thoughts thinking idea ideas view views opinion opinions answer answers word words reason
        reasons reasoning question questions guess guesses sense eye eyes imagination choice choices
        judgment argument
        arguments claim perspective understanding knowledge interest attention reaction impression
        explanation example
        examples evidence notes sentence list drawing sketch map model label display exhibit museum poster
        plan project
        class classroom classmates textbook lesson workspace desk table room place spot city town hometown
        neighborhood neighborhoods community communities area region state country home surroundings world
        life time
        day days generation age family families friend friends visitors group partner team walk visit feet
        hands
        conclusion conclusions discussion observation observations response responses statement left right
        way
        story stories history tour research"""
    )
)
"""What "your" may stand before."""
_YOU = re.compile(
    r"\b(?:you|u|ya)\b(?P<rest>(?: (?:would|will|could|can|might|may|should|must|do|did|had|have|have been|are|were|be|been"
    r"|now|just|also|ever|really|still|already|most|first|then|not|never|both|yourself|personally|today|here|later"
    r"|\w+ly)\b)*) ?(?P<verb>[a-z']*)"
)
_VERBS = frozenset(
    stem(word)
    for word in _set(
        """think thought see saw seen notice hear heard learn learned know knew ask say said tell told choose chose chosen
        pick decide imagine picture wonder guess suppose want wish like prefer find found describe explain
        compare connect
        link relate look stand standing walk write wrote written mention talk talked show draw build
        design make made
        create put place add include leave keep save preserve carve teach change remember need use study
        read listen
        watch consider weigh argue judge conclude expect believe feel understand understood agree disagree
        question
        predict test measure track follow work point name list recommend suggest honor respect trust
        surprise surprised
        interested curious able sure looking sitting start begin end decide solve plan sell trade hire
        lead move protect
        display visit get give take try worry react speak bring call help set share pay mean noticed
        played hold recall
        sketch map interview figure discover face answer reply respond convince persuade support improve
        count mark welcome
        rewrite replace spend save join line divide order rank sort invite"""
    )
) | _set("had have has take takes")
"""What "you" may do in a question."""
_FUNCTION_WORDS = _set(
    """a an the this that these those some any one no all each every other and or but if as than so too there what how why which who
    whom whose when where while because of in on at by for from to into onto with without about after
    before between near
    under over around behind beside not never else even only very much more most many your you it its them him her us we they"""
)
_BEFORE_YOU = _set(
    """around for to near before behind beside about above below under surprise surprises surprised strike strikes struck
    tell tells told help helps helped make makes made show shows showed give gives gave teach teaches
    taught remind
    reminds reminded lead leads interest interests interested if when that what would do does did will can
    could might
    may should have had were are as because and or than where how why which who whom while before after
    until once so but
    brought bring brings mattered matters change changes changed let lets say place thing things question
    questions
    word words reason reasons idea ideas everything anything something nothing now today suppose imagine
    think facts fact way ways
    story part parts first most next whatever whichever whether since unless given choice clues clue evidence for worried"""
)
"""What may stand before "you" in a question, besides the start of a clause."""
_YOU_IN_CLAUSE = re.compile(r"([a-z']+) (?:you|u|ya)\b")
_HERITAGE = _any_of(
    r"""work\w*, jobs?, objects?, stor(?:y|ies), kept, keep\w*, proud, pride, chang\w+, histor\w+, remember\w*, museums?, place\w*, built, near
    building\w*, learned, passed down, saved?, old, replaced, kind of reason, link\w*, connect\w*"""
)
"""What a question may ask of a student's family, home or neighborhood."""
_HOUSEHOLD = _any_of(
    r"your (?:own )?(?:famil(?:y|ies)|home|household|neighborhood|community), at home, you at home"
)
_NOT_YOURS = _any_of(
    r"""names?, address\w*, doctor, phone, number, numbers, email, e-mail, account, income, rent, card, code, password
    secrets?, birthdays?, pictures? of you, status, feelings about, problems?"""
)
_ASKS_WHO = _any_of(
    r"""(?:names?|address(?:es)?|numbers?|age) (?:of|for|that|which) (?:\w+ ){0,2}(?:you|your), (?:call|phone|ring|text|e-?mail|reach|contact|visit) your, which (?:\w+ )?school do, (?:call|calls|called|calling) you, you (?:are|go by|get|be) called
    (?:names?|birthday|age) of (?:\w+ )?your, who (?:exactly )?(?:are|r) (?:you|u)
    who (?:\w+ )?your (?!own (?:idea|view))\w+ (?:are|is), (?:how|what) old (?:are|r) (?:you|u)
    your (?:exact |own )?age(?= ?[,.?]| and), when (?:were|was) (?:you|u) born, what grade are you
    where (?:\w+ ){0,2}(?:do|did|are|were|can|could) you (?:\w+ ){0,2}(?:live|sleep|stay|born|from|meet|go)
    (?:live|living|stay|sleep) (?:right )?(?:now|tonight|alone), where could we
    where (?:can|could|may|shall|should) (?:we|i)
    (?:which|what) (?:\w+ ){0,2}(?:street|road|block|town|city|neighborhood)(?: \w+){0,3} (?:do|are|did) you
(?:which|what) (?:\w+ ){0,2}(?:house|apartment|school|county|zip)(?: \w+){0,3} (?:do|are|did) you
    how (?:tall|heavy|rich|poor|fat|strong) (?:are|is) you
    you (?:weigh|wear|wearing|wore)\b(?! (?:the )?(?:evidence|the|these|both))
    do you (?:\w+ )?have yourself, how much (?:\w+ ){0,2}do you
    (?:reach|contact|text|phone|email|mail|message|visit|meet|dm|follow|send|write to) you
    (?:send|mail|ship|bring|deliver)\b[^,?]* to you, tell me(?= who| your| if you have|[,.?]), believe in
    (?:meet|meeting) (?:up|me|us)
    (?:could|can|shall|should) (?:we|i) (?:meet|call|text|phone|visit|reach|contact|see you)
    just (?:the two of us|you and me|us two), our (?:little )?secret, kept? (?:it|this) (?:our|a|between)
    nobody else (?:could|can|will|would)
    (?:write|talk|speak|come|reply|respond) (?:to|with) me, in private
    which (?:girl|boy|classmate|teacher|friend)s?, between (?:you and me|us), (?:don't|do not|never) tell
    after (?:this|the) lesson to"""
)
_PRIVATE = _any_of(
    r"""(?:full|last|middle|maiden|family|real|nick|sur|user|screen)[ -]?names?, surnames?, usernames?, nicknames?, initials
    home address, street address, house number, addy, zip ?codes?, postal codes?, phone(?:s| numbers?)?
    cell ?phones?, mobiles?, telephone numbers?
    e-?mails?, e-?mail address\w*, inbox, passwords?, passcodes?, passphrases?, log ?ins?, logging in
    sign up, sign in, pin numbers?, credit cards?, bank accounts?
    social security, passports?, ssn, birth ?dates?, birthdays?, accounts? (?:to|on|for|with)
    handle(?=[,?]| on| for), instagram, insta, tiktok, snapchat, snap chat
    facebook, whatsapp, discord, youtube, telegram app, twitter, reddit, roblox, fortnite, apps?, dms?
    selfies?, uploads?, downloads?, installs?, webcams?, hashtags?
    social media, gamer ?tags?, tablets?, laptops?, devices?, online profiles?, browsers?, websites?
    web ?sites?, web ?pages?, internet, url, https?, googles?, googling
    dot (?:com|org|net|edu|gov|io|example|co|info|us), colon slash
    (?:click|tap|follow|open) (?:on )?(?:this|the|that|a|my) (?:link|button|page|file|site), search on
    go to (?:the )?(?:\w+ )?(?:dot|page|site)
    medicines?, medications?, meds, pills?, therapists?, therapy, counselors?, psychiatrists?
    psychologists?, diagnos\w+, disab\w+, allerg\w+, asthma, diabetes, epilepsy, adhd, autis\w+
    mental(?:ly)?(?: health| ill\w*)?, depressed, anxiety, panic attacks?, eating disorders?, suicid\w+
    self[ -]?harm\w*, (?:hurt|hurting|cut|cutting|kill|killing|harm|harming) yourself, overdos\w+
    pregnan\w+
    periods? (?:started|pain), illness(?:es)? do you, hospitalized, vaccin\w+, drugs?, weed
    vap(?:e|es|ing), drunk, alcohol\w*, beers?
    god, gods, pastors?, priests?, imams?, rabbis?, preachers?, jesus, christ, christian\w*, allah
    islam\w*, muslims?, jew(?:s|ish)?, hindus?, buddh\w+, catholics?, baptists?, protestants?, atheis\w+
    bible, quran, koran, torah, scriptures?
    holy, church(?:es)?, mosques?, temples?, synagogues?, religio\w+, faith, prays?, praying, prayers?
    worship\w*, sins?, sinful, heaven, afterlife
    vote(?:s|d)? for, voting for, republicans?, democrats?, trump, biden, president you
    political part(?:y|ies)
    gay, lesbian\w*, bisexual\w*, homosexual\w*, heterosexual\w*, transgender, queer, lgbt\w*, sexual\w*
    sexuality, gender identity, pronouns, virgin\w*, crush(?:es)? on, a crush, kiss\w*, girlfriends?
    boyfriends?, dating
    naked, nudes?, underwear, breasts?, puberty, hug\w*, cuddl\w*, flirt\w*, come out to, came out to
    find (?:hot|cute|pretty|handsome), boys? or girls?, girls? or boys?, attractive, body
    immigration status, undocumented, green cards?, deport\w+, papers to, visas?, citizenship, divorc\w+
    welfare, food stamps, foster care, evict\w+, homeless\w*, child support
    hits? you, hurts? you (?:at|most), hurt you, beats? you, abus\w+, bull(?:y|ied|ies|ying), molest\w*
    happened to you, worst thing, most embarrass\w+, ashamed of your, trauma\w*"""
)
"""Words with no business in a question of this lesson. Those that the lesson itself uses are let through."""
_HARDSHIP = _any_of(
    r"""money, poor, poverty, afford\w*, debts?, owes?, owed, broke, income, salar(?:y|ies), earns?, earned, rich, hungry, hunger, starv\w+, food, rent, loans?, bills?
    jails?, prisons?, arrest\w*, police, crimes?, fights?, fighting, argues?, violen\w+, beat\w*, hit
    hits, hitting, hurts?, drinks?, drinking, sick\w*, ill\w*, died, dies, death, dead
    cry, cries, cried, lost (?:a|his|her|their) (?:job|home), unemployed, fired, born, immigra\w+, angry
    afraid, scared, unhappy, sad, secrets?, problems?, troubles?, suffer\w*, shame"""
)


def private(text: str, request: QuestionRequest) -> bool:
    """It asks for something of the student's own life, or wants the student to go, write or log in somewhere."""
    lesson = _lesson_text(request.segment_title, request.segment_summary, request.narration)
    return any(_is_private(variant, lesson) for variant in _variants(text))


@lru_cache(maxsize=16)
def _lesson_text(*parts: str) -> str:
    return _plain(" . ".join(parts))


def _is_private(text: str, lesson: str) -> bool:
    if _ASKS_WHO.search(text) or any(match[0] not in lesson for match in _PRIVATE.finditer(text)):
        return True
    if any(not _may_be_yours(match["things"]) for match in _YOUR.finditer(text)):
        return True
    if any(not _may_be_done(match["verb"], text, match.start()) for match in _YOU.finditer(text)):
        return True
    if any(word not in _BEFORE_YOU for word in _YOU_IN_CLAUSE.findall(" . ".join(_clauses(text)))):
        return True
    return any(
        _HOUSEHOLD.search(clause) and (_HARDSHIP.search(clause) or not _HERITAGE.search(clause + following))
        for clause, following in pairwise([*_clauses(text), ""])
    )


def _may_be_yours(things: str) -> bool:
    """The first noun after "your" is a thing of the lesson, and nothing private follows it closely."""
    after = re.findall(r"[a-z]+(?:'s)?", things)
    if _NOT_YOURS.search(" ".join(after[:5])):
        return False
    noun = next((word for word in after if word not in _ADJECTIVES), after[-1] if after else "")
    return not noun or stem(noun) in _THINGS or noun in _ADJECTIVES


def _may_be_done(verb: str, text: str, at: int) -> bool:
    """A verb of learning and thinking, or no verb at all; to live only in "the place where you live"."""
    if verb == "live":
        return text[:at].endswith("place where ") and not text[at:].startswith("you live called")
    if verb in ("take", "have") and not re.match(
        rf"you (?:\w+ )*{verb} (?:from|away|about|in mind)|you have$", text[at:]
    ):
        return False
    return not verb or verb in _FUNCTION_WORDS or stem(verb) in _VERBS


# --- suffering ------------------------------------------------------------------------------------

_SUFFERING = (
    r"(?:enslaved|slaves?|owned|sold|auction\w*|chain(?:s|ed)|shackle\w*|whip\w*|lash\w*|beaten|branded|burn(?:ed|ing)|wound\w*"
    r"|bleed\w*|dying|dead|starv\w+|shot|lynch\w*|punish\w*|tortur\w+|fugitive|runaway|bondage|slavery)"
)
_BE_THEM = re.compile(
    "|".join(
        (
            rf"\b(?:if|that|imagine|suppose|picture|pretend|say)(?: that)? you(?: are| were|'re| had been)"
            rf"(?: \w+){{0,3}} {_SUFFERING}\b",
            rf"\b(?:imagine|picture)(?: yourself| being)(?: \w+){{0,3}} {_SUFFERING}\b",
            rf"\byou(?:'re| are| were| have been)(?: now| being| about to be)?(?: an?| the)?(?: \w+){{0,2}} {_SUFFERING}\b",
            rf"\b(?:speak|writ|talk|answer|act|think|respond|liv|feel|diary|letter)(?:e|ing)?(?: \w+){{0,3}}"
            rf" as (?:an?|if you were an?)(?: \w+){{0,2}} {_SUFFERING}\b",
            rf"\byou(?: \w+){{0,2}} (?:been|be|wake|find yourself|stand|lie|sit|fall|fell|get|got|taken|put)(?: \w+){{0,4}}"
            rf" (?:{_SUFFERING}|(?:in|into) the (?:melted iron|fire|flames))\b",
            rf"^as an? (?:\w+ )?{_SUFFERING}\b",
            rf"\b(?:feel|be|is it) (?:like )?to (?:be|get|have been)(?: \w+){{0,3}} {_SUFFERING}\b",
            r"\bput yourself in(?:to)? (?:\w+ ){0,3}(?:chains?|shoes|place|position|skin|body)\b",
            r"\bstep into the (?:shoes|skin|body)\b|\bin their (?:shoes|chains|skin)\b",
            r"\bpretend\w*\b|\brole[ -]?play\w*|\bact(?:ing)? out\b|\bwhich part would you play\b",
            r"\bwould you (?:\w+ )?(?:scream|cry|beg|bleed|suffer|plead|whimper)\b",
        )
    )
)
_CRUELTY = _any_of(
    r"""scream\w*, whipp\w+, whips?, lash(?:es|ed)?, lynch\w*, rap(?:e|ed|ist), tortur\w+, gore, gory, bloody, bleed\w*, corpses?, mutilat\w+, slave auction, hurts you most"""
)


def plays_suffering(text: str, request: QuestionRequest) -> bool:
    """It puts the student into the place of somebody who suffers, or dwells on cruelty."""
    return any(_BE_THEM.search(variant) or _CRUELTY.search(variant) for variant in _variants(text))


# --- slavery --------------------------------------------------------------------------------------

_ENSLAVED = re.compile(r"\b(?:enslaved|slave|slaves|slavery|black|african|negro(?:es)?|bondsmen|bondage)\b")
_BELITTLES = _any_of(
    r"""blam\w+, at fault, faults?, guilt\w*, own (?:lot|fate|suffering|misery|condition|enslavement|bondage), responsible for their, brought (?:it )?(?:on|upon), bring (?:it )?(?:on|upon) themselves
    lazy, lazi\w+, weak, passive, coward\w*, slow, careless, clumsy, ungrateful, bad at, criminals?
    boring, bored, sick of, tired of, so much talk, too much talk, obsess\w+, drag\w* up, forget about
    trouble, lucky, luck, fortunate, grateful, gratitude, thank\w*, gifts?, favors?, rewards?, privileges?
    adventures?, fun, pleasant, comfortable, safe(?:r)?, secure, smil\w+, sing(?:ing)?
    happ(?:y|ier|ily|iness), let themselves, allow(?:ed)? themselves, accept(?:ed)? (?:it|slavery|being)
    put up with, tolerate\w*, generous, (?:take|took|taken) (?:such )?(?:good )?care of, kind to
    mistakes? (?:did|that|of), content(?:ed)?(?! of), cheerful\w*, enjoy\w*, better off, well off
    well treated
    treated well, treated (?:so )?kindly, well cared, kind(?:ly)? (?:masters?|owners?|slaveholders?)
    good (?:masters?|owners?|slaveholders?|sides?|parts?|things?), bright sides?, upsides?, advantages? of
    benefits? of (?:slavery|being|bondage)
    (?:slaves|enslaved \w+|they) (?:also |even |really )?(?:benefit\w*|profit\w*|gained)
    deserve(?:d)? (?:it|being|what|their|this|slavery)
    deserve(?:d)? to be (?:sold|rented|owned|enslaved|used|punished)
    inferior, superior, less intelligent, not smart, suited (?:for|to), fit (?:for|only), by nature
    naturally, meant to be, born to, obedient, loyal (?:slaves?|servants?), faithful, volunteer\w*
    willing\w*, agree(?:d)? to (?:be|slavery)
    civiliz\w+, chose (?:to be|slavery), (?:that|so|too|very|really) bad, exaggerat\w+, overreact\w*
    over it, get over, move on, moved on, complain\w*, whin(?:e|es|ing), victims? card, stop talking
    (?:defend|justify|excuse|praise|support|favor) slavery(?= as| to| for| in|[,?])
    (?:case|argument|argue|reasons?|speak) (?:for|in favor of|in support of) slavery
    slavery (?:was|is|as) (?:\w+ )?(?:good|right|fair|necessary|needed|fine|okay|ok|normal|just)
    why (?:did|would|could|do) (?:the |these |more )?(?:enslaved|slaves|black)(?: \w+){0,2} (?:not|just|never) \w+
    why (?:didn't|wouldn't|couldn't|did not) (?:the |these |more )?(?:enslaved|slaves|they|black)
    just (?:run|ran|leave|left|quit|fight|fought|walk|refuse|refused|say|said)"""
)


def belittles_slavery(text: str, request: QuestionRequest) -> bool:
    """It blames people for being enslaved, or makes slavery small, kind or deserved."""
    return any(_ENSLAVED.search(variant) and _BELITTLES.search(variant) for variant in _variants(text))


# --- language -------------------------------------------------------------------------------------

_ELSEWHERE = _set(
    "que el la los las de del en y tu su es por para como cual donde quien con una un se te le les eres"
)


def not_english(text: str, request: QuestionRequest) -> bool:
    """The gate reads English only, so what it cannot read is not shown."""
    found = words(text)
    english = sum(word in STOP_WORDS or word in _MORE_ENGLISH for word in found)
    foreign = sum(word in _ELSEWHERE for word in found)
    return bool(found) and (english < MIN_ENGLISH_SHARE * len(found) or foreign >= max(2, english))


RULES: dict[str, Callable[[str, QuestionRequest], bool]] = {
    "not_english": not_english,
    "off_lesson": off_lesson,
    "private": private,
    "plays_suffering": plays_suffering,
    "belittles_slavery": belittles_slavery,
}

_MORE_ENGLISH = _set(
    "else many people someone here someday much first two old new could how make makes work works"
)


# --- reading --------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    return " ".join(folded(text).split())


def _variants(text: str) -> Iterator[str]:
    """As it stands, and with what divides a word ("na-me", "na.me") taken out."""
    plain = _plain(text)
    yield plain
    joined = re.sub(r"(?<=[a-z])[-._·*'’](?=[a-z])", "", plain)
    if joined != plain:
        yield joined


def _clauses(text: str) -> list[str]:
    return re.split(r"[,.;:?!()]+", text)
