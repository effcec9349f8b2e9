# ruff: noqa: E501 (patterns stay on one line)
"""Signs in a student's words that somebody should look after them now: English and Spanish, slang and typos. Pure.

Three kinds. `self`: danger to oneself. `harm`: harm by others, or nobody who cares for the student. `stop`: the wish to
end the session. The lesson is about slavery and war, so what happens to other people in the past sets nothing off: the
patterns want a first person. They find words, not states of mind, and they will miss some: staff in the room are the
safeguard, and this brings them there sooner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from ..tutor.text import folded

Kind = Literal["self", "harm", "stop"]
SELF: Final[Kind] = "self"
HARM: Final[Kind] = "harm"
STOP: Final[Kind] = "stop"

PIECE, OVERLAP = 4_000, 200
"""Characters that are read at once; `folded` reads no more than 6,000."""

_SPELLINGS = (
    (r"['\u2018\u2019`\u00b4]", ""),
    (r"([a-z])\1{2,}", r"\1"),
    (r"\b(?:wanna|wana|wnna)\b", "want to"),
    (r"\b(?:gonna|gunna|finna|boutta|bouta|about to|fixing to)\b", "going to"),
    (r"\b(?:gotta)\b", "have to"),
    (r"\b(?:i dont|i do not|i dnt|i dont|i don t|idont)\b", "i dont"),
    (r"\b(?:dont|do not|dnt|doesnt|does not|didnt|did not) (?:really |even |rly )?", "dont "),
    (r"\b(?:im|i am|i m)\b", "im"),
    (r"\b(?:ive|i have)\b", "ive"),
    (r"\bany ?more\b", "anymore"),
    (r"\bmy ?self\b", "myself"),
    (r"\b(?:step|god|grand|foster)[ -]?(dad|mom|father|mother|brother|sister|pa|ma|parents?)", r"step\1"),
    (r"\b(?:moms|mothers|mamas|dads|sisters) (?:boyfriend|bf|husband|man|friend)\b", "stepdad"),
    (r"\bbf\b|\bbfs\b", "boyfriend"),
    (r"\bgf\b", "girlfriend"),
)
_PERSON = (
    r"(?:dad|daddy|father|mom|mama|mother|mum|parents?|step\w+|brother|sister|uncle|aunt|auntie|cousin|boyfriend|girlfriend"
    r"|ex|coach|teacher|pastor|priest|boss|neighbor|babysitter|family|folks|papa|granny|grandpa|grandma|roommate|guardian"
    r"|papi|mami|tio|tia|tutor|principal|he|she|they|somebody|someone|a guy|guys|a man|a boy|boys|kids|people|everyone|everybody)"
)
_SIE = r"(?:papa|papi|mama|mami|padre|madre|padres|padrastro|madrastra|hermano|hermana|tio|tia|abuelo|abuela|primo|prima|novio|novia|profe|maestro|vecino|el|ella|ellos|alguien)"
_DIE = r"(?:die|be dead|kill myself|end it(?: all)?|end my life|hurt myself|cut myself|disappear|unalive(?: myself)?|not exist|not be here|overdose|hang myself|harm myself|not wake up|never wake up)"
_DYING = r"(?:dying|suicide|killing myself|hurting myself|cutting myself|ending (?:it|everything|my life)|hanging myself|not being (?:here|alive)|jumping off|jumping in front|overdosing|being dead|harming myself)"

_BODY = (
    r"(?:arms?|wrists?|legs?|thighs?|skin|body|neck|throat|face|head|hair|back|ribs|nose|eye|eyes|mouth|lip|stomach|chest|butt|hand"
    r"|hands|fingers?|jaw|teeth|veins?|clothes|pants|shirt|private\w*)"
)
_VIOLENT = (
    r"(?:hits?|hitting|beats?|beating|slap\w*|smack\w*|punch\w*|kick\w*|chok\w+|strangl\w+|whip\w*|spank\w*|burns?|burned|broke"
    r"|shov\w+|corner\w*|stab\w*|spits?|spat|attack\w*|hurts?|hurting|abus\w+|rap(?:e|es|ed)|molest\w*|grop\w+|threaten\w*"
    r"|bull(?:y|ies|ied|ying)|slams?|slammed|harass\w*|assault\w*|stalk\w*|fondl\w+|starv\w+|drown\w*|suffocat\w+|lock(?:s|ed)?)"
)
_ROUGH = (
    r"(?:thr[eo]ws?|throwing|push\w*|grab\w*|pull\w*|drag\w*|pinch\w*|bit|bites?|jump\w*|touch\w*|kiss\w*|feels?|felt|rubs?|rubbed"
    r"|ties?|tied|cuts?|swings?|swung|pointed|put|puts|squeez\w+|twist\w*|holds?|held|yank\w*|trip\w*|lays?|lies|gets? on)"
)
_MAN = r"(?:hombre|senor|muchacho|chico|tipo|viejo|vecino)"

_PATTERNS: Final[dict[Kind, tuple[str, ...]]] = {
    SELF: (
        rf"\b(?:i|just|rlly|really|honestly|sometimes) (?:\w+ )?(?:want|need|going|plan|planning|wish|tried|try|trying) to (?:just |fucking |be able to )?{_DIE}\b",
        rf"\bim (?:\w+ )?(?:going|planning|trying|ready|about) to (?:just )?(?:{_DIE}|kill myself)\b(?! of)",
        r"\bi (?:\w+ )?want to (?:be dead|die)\b(?! (?:of|from|laughing))",
        rf"\b(?:think|thinking|thought|thoughts|dream|dreaming|considering|planning) (?:\w+ )?(?:about|of|on) (?:\w+ )?{_DYING}\b",
        rf"\b(?:think|thinking|thought|thoughts|planning) (?:\w+ )?(?:about|of|to|on) (?:\w+ )?{_DIE}\b",
        r"\b(?:kill|killing|hang|hanging|stab|shoot|drown|harm|unalive) myself\b(?! laughing)",
        r"\b(?:cut|cutting|hurt|hurting|burn|burning|harming|starve|starving|scratch) myself\b(?! (?:on|with the paper|a)\b)",
        r"\bi (?:\w+ )?(?:cut|slit|burn) my (?:arms?|wrists?|legs?|thighs?|skin|body)\b",
        r"\b(?:kms|kys myself)\b",
        r"\bi dont (?:want|wanna|deserve) to (?:be alive|live|be here|exist|be on this|be in this world|wake up|be around|keep living|go on living)\b(?! (?:in|near|there|like that|back then|at (?:the|that)|when))",
        r"\bi (?:\w+ )?(?:shouldnt|should not) (?:be alive|exist|be here|have been born)\b",
        r"\bi ?(?:d|would) (?:\w+ )?(?:be (?:better off|happier) dead|rather be dead(?! than))\b",
        r"\b(?:better off|happier|easier|better) (?:\w+ )?(?:without me|if i (?:wasnt|werent|was not|were not|was dead|were dead|died|was gone|disappeared))\b",
        r"\b(?:no ?one|nobody|noone) (?:\w+ )?(?:would|will|cares?|ll|d) (?:\w+ )?(?:care|miss me|notice)?(?: if i| if im)? ?(?:was|were|am|im)? ?(?:dead|gone|died|disappeared|miss me)\b",
        r"\b(?:no ?one|nobody) (?:would|will|is going to) miss me\b",
        r"\bi have (?:no|nothing|no more) (?:reason|reasons|will|thing)? ?(?:to live|left to live|to live for)\b|\bive (?:no|nothing) (?:reason )?(?:left )?to live\b",
        r"\b(?:no|isnt any|whats the) (?:point|reason|use) (?:in|of|to) (?:living|my life|being alive|keep living|going on living)(?: anymore)?\b",
        r"\b(?:my )?life (?:isnt|is not|aint|not) worth (?:living|it)\b|\bmy life (?:\w+ )?(?:no|any) (?:point|meaning)\b|\bi want (?:out of (?:it|my life|this life)|everything to end|it all to end)\b",
        r"\bi (?:\w+ )?wish(?:ed)? i (?:was|were|wasnt|werent|had|d|could|would) (?:\w+ )?(?:dead|never (?:been )?born|not (?:been )?born|alive|never wake|not wake)\b",
        r"\b(?:go to sleep|sleep|fall asleep) (?:\w+ )?(?:and )?(?:never|not|dont) wake up\b|\bto not wake up\b",
        r"\b(?:ending it all|end it all|end my life|ending my life|take my (?:own )?life|taking my (?:own )?life)\b(?! at)",
        r"\b(?:im|i feel|i felt|i been|ive been|feeling) (?:\w+ )?(?:suicidal|so suicidal)\b|\bi (?:\w+ )?(?:commit|committed|attempted|attempt|tried) (?:to commit )?suicide\b",
        r"\bi (?:took|swallowed|take) (?:a bunch of|all|too many|a lot of|the whole) (?:\w+ )?(?:pills|meds|medicine)\b|\bim going to (?:od|overdose)\b",
        r"\bi (?:\w+ )?(?:self ?harm|sh)\b|\bself harming\b|\bi relapsed\b",
        r"\b(?:feel|felt|feeling) like (?:i want to )?(?:dying|die|ending it|killing myself|not living|im better off dead)\b(?! of)",
        r"\b(?:im|i|been|just) (?:\w+ ){0,2}(?:tired|sick|exhausted|done) (?:of|with) (?:living|being alive|life|my life|existing)\b(?! (?:here in|in richmond))|\bi cant (?:take|handle) (?:life|living|it anymore)\b",
        r"\bi (?:\w+ ){0,2}(?:wish|hope|pray|want)(?:ed)? (?:that )?i (?:\w+ )?(?:die|dies|died|disappear|vanish|didnt exist|dont exist|never existed|dont wake up)\b(?! of)",
        r"\b(?:hope|pray|prayed|wish|asked|ask|beg|begged) (?:\w+ ){0,3}(?:let|make|help|take) me (?:die|not wake up|dont wake up|disappear|away)\b|\b(?:not|dont|never) let me wake up\b",
        r"\b(?:point|reason|use) (?:of|in|for|to) (?:me |my )?(?:being alive|being here|living|existing|life|going on)\b|\bno future for me\b|\b(?:death my own|my own death)\b",
        r"\bi(?:m| am)? (?:\w+ ){0,2}a burden\b|\bim (?:worthless|useless and|nothing to anyone)\b|\b(?:happier|easier|better|better off) (?:\w+ )?if i (?:\w+ ){0,2}(?:wasnt|werent|didnt|died|was gone|were gone|was dead|disappeared|left this world)\b",
        r"\b(?:plan|plans|planning|want|going|ready|decided) to (?:end (?:things|everything|it all|it tonight)|do it tonight|leave this world|go (?:to heaven|be with))\b",
        rf"\bi (?:\w+ ){{0,3}}(?:cut|cuts|scratch\w*|slit|stab\w*|burn\w*|hit|punch\w*|carve\w*) (?:\w+ ){{0,2}}my (?:own )?{_BODY}\b(?! (?:on|off|in the)\b)",
        r"\b(?:knife|blade|razor|razors|gun|rope|noose|belt|scissors) (?:\w+ )?(?:to|at|on|around|against|in) my (?:own )?(?:wrists?|arms?|head|neck|throat|mouth|room so)\b|\btill? (?:they|it|i) bleeds?\b",
        r"\b(?:swallow|take|took|taking|saving|drink|drank) (?:\w+ ){0,3}(?:pills|bleach|tylenol|my moms meds)\b",
        r"\bmi vida no (?:vale|tiene|importa)\b|\b(?:cansad|hart)[oa] de (?:vivir|la vida|mi vida|existir|estar viv[oa])\b|\bno valgo nada\b|\bya no (?:aguanto|puedo) (?:mas )?(?:la|mi|esta) vida\b|\b(?:pienso|pensado|pensando) en (?:morir\w*|matarme|la muerte|no vivir|desaparecer)\b|\bme (?:quiero|gustaria|quisiera) (?:morir|desaparecer|ir de este mundo)\b|\bquisiera (?:morir\w*|estar muert\w|no existir|no haber nacido)\b(?! de)",
        r"\b(?:if|wish|hope|that|maybe|wonder if|think) i (?:\w+ )?(?:died|die|was dead|vanished|disappeared|could die|should die|should be dead)\b(?! (?:of|from|there|in (?:the|a) (?:war|game)|laughing))",
        r"\b(?:how|ways|way|where|when) (?:\w+ )?to (?:die|kill myself|end my life|commit suicide|overdose|od)\b(?! (?:of|for|in (?:the|a) (?:war|battle)))",
        r"\b(?:asleep|sleep|go away|be gone|disappear|leave) forever\b(?<!they disappear forever)|\b(?:my own|about my) (?:death|funeral|suicide)\b|\b(?:almost|nearly|wanted to|want to|going to|could) jump(?:ed)? (?:off|in front|from)\b",
        r"\bi (?:\w+ )?(?:dont|cant|couldnt|never) see myself (?:\w+ )?(?:here|alive|living|growing up|being|making it)\b|\bi wont (?:\w+ )?(?:be here|be alive|make it) (?:\w+ )?(?:next|tomorrow|to|till|long|much longer)\b",
        r"\b(?:no ?one|nobody) (?:\w+ )?(?:needs|wants|loves|likes) me\b(?! to\b)|\b(?:i should just|better if i) (?:go|leave|die|be gone|werent here)\b|\b(?:living|life|existing|being alive) (?:\w+ )?(?:hurts|is too much|is pointless|is pain|is torture for me)\b",
        r"\bi (?:keep|have|hide|carry|hid|got) (?:a|the|my) (?:blade|razor|rope|noose|knife)\b (?:\w+ ){0,5}(?:when|for|bed|pillow|drawer|case)\b",
        r"\b(?:me dan|tengo|con) ganas de (?:morir\w*|matarme|desaparecer|no vivir)\b(?! de)|\b(?:no|nunca) (?:\w+ )?despertar(?:me)?\b(?! (?:a|al|el|la)\b)|\bnadie me (?:quiere|necesita)\b",
        r"\b(?:and|so|when|then|because|cuz) i (?:\w+ )?cut(?:ting)?$|\bi (?:\w+ )?(?:cut|started cutting|been cutting)(?: again| every ?day| at night| to feel\b.*| when im (?:sad|alone|stressed))$",
        r"\b(?:be|go|join) (?:with |to )?(?:my |him |her )?(?:\w+ )?in heaven\b|\bi (?:\w+ )?(?:should|deserve to|need to) (?:be dead|die|not exist)\b(?! (?:of|from))|\band should be dead\b|\bim not worth (?:anything|living|it to anyone)\b",
        r"\b(?:hope|wish|pray) (?:that )?i (?:\w+ )?(?:get|got|am|was) (?:hit by|run over by|killed by|in) a (?:car|truck|bus|train|crash)\b|\bno (?:quiero|deberia) estar (?:aqui )?en este mundo\b|\bya no quiero estar aqui\b(?! (?:en la escuela|en el museo|sentad\w))",
        r"\b(?:pain|everything|it) (?:to )?(?:stop|end) (?:so i|and i|by) (?:cut|cutting|die|dying|hurt|hurting)\b|\bi (?:cant|can not) (?:keep|go on) (?:living|doing life|like this)\b",
        r"\bwhy am i (?:even |still )?(?:alive|here on earth|living)\b|\bwhy was i (?:even )?born\b",
        r"\bi (?:\w+ )?(?:wrote|left|have|write) (?:\w+ )?(?:goodbye|suicide) (?:note|letter)\b",
        r"\b(?:want|wouldnt mind|hope|wish)(?: if)? (?:a |the )?(?:car|truck|bus|train) (?:to |would )?(?:hit|hits|run over|ran over) me\b",
        r"\bi (?:starve myself|stopped eating|make myself throw up|dont eat anymore|throw up after)\b",
        r"\bcant do this anymore i (?:want|need|wish)\b|\bi (?:cant|dont want to) (?:live|go on)(?: like this)? anymore\b",
        r"\b(?:ya )?no quiero (?:vivir|seguir viv\w+|estar viv\w+|existir|seguir con vida)\b|\bme quiero (?:morir|matar)\b|\bquiero (?:morir(?:me)?|matarme|desaparecer|dejar de vivir|suicidarme)\b",
        r"\b(?:suicidarme|suicidar me|matarme|quitarme la vida|me voy a matar|me corto|me lastimo|me hago dano|cortarme)\b(?! el (?:pelo|cabello))",
        r"\bojala (?:\w+ )?(?:no hubiera nacido|me muriera|estuviera muert\w+|no despertara)\b|\b(?:si|cuando) me (?:muero|muriera)\b(?! de)|\bsin sentido (?:mi|la) vida\b|\bno (?:\w+ ){0,2}sentido a (?:la|mi) vida\b",
        r"\bno tengo (?:razon|ganas|motivos?) (?:para|de) vivir\b|\bestarian mejor sin mi\b",
    ),
    HARM: (
        rf"\b(?:my )?{_PERSON} (?:\w+ ){{0,3}}(?:hits?|hitting|beats?|beating|slaps?|slapping|punch(?:es|ed)?|kicks?|kicked|chok(?:es|ed)|whips?|whipped|hurts?|hurting|burns?|burned|abuses?|abused|rap(?:es|ed)|molest(?:s|ed)|stabbed|bull(?:y|ies|ied)|threatens?|threatened|threatening) (?:me|us|my mom and me|me and)\b(?! (?:up|at|in (?:chess|basketball|games?|soccer|football)|by|with a (?:joke|song)|back to|to (?:work|study|do|try|read|learn|sign|come|be|go|finish)|hard))",
        rf"\b{_PERSON} (?:is |are |keeps? |was |always |will |would |going to |hes |been )*(?:hurt|hurting|touching|beating|hitting|abusing|threatening|blackmailing|raping|stalking|bullying|slapping) (?:me|my mom and me|us)\b",
        r"\b(?:hes|shes|theyre|he is|she is|they are) (?:\w+ )?(?:hurting|touching|beating|hitting|abusing|threatening|blackmailing|stalking) me\b",
        rf"\b{_PERSON} (?:\w+ ){{0,2}}(?:touched|touches|touch|touching) (?:me|my (?:body|legs?|chest|butt|private\w*))\b",
        r"\b(?:makes?|made|forces?|forced|forcing) me (?:to )?(?:touch|do stuff|do things|have sex|undress|kiss|send|sleep with|take (?:off )?my clothes)\b",
        rf"\b(?:my |a |this |that |the |some )?(?:older |big |little |best )?{_PERSON} (?:\w+ ){{0,4}}{_VIOLENT} (?:\w+ ){{0,3}}?(?:me|us|my (?:\w+ )?{_BODY})\b(?! (?:up (?:to|about|for|on)|at (?:\w+ )?(?:chess|basketball|games?|soccer|football|everything|it|checkers|cards)|in (?:\w+ )?(?:chess|basketball|games?|soccer|football|races?)|by |back to|to (?:work|study|do|try|read|learn|sign|come|be|go|finish|think|get|keep)|hard|about|that|when (?:i|they) (?:heard|read)|because (?:they|the)))",
        rf"\b(?:my |a |the |some )?{_PERSON} (?:\w+ ){{0,5}}{_ROUGH} (?:\w+ ){{0,3}}(?:my {_BODY}|up my|down my|in(?:to)? my (?:room|bed|pants)|on top of me|under water|in bed with me)\b(?! (?:when (?:we|he|she) (?:pray|cross|play)|to (?:help|cross)))",
        rf"\b(?:my |a |the |some )?{_PERSON} (?:\w+ ){{0,5}}{_ROUGH} (?:\w+ ){{0,2}}(?:me|us) (?:against|down|around|off|across|out of|by (?:my|the) (?:hair|neck|arm|throat)|in (?:the|my|his|her) (?:lockers?|hallway|bathroom|bed|room|closet|car)|into (?:the|a) (?:wall|floor|lockers?|door|bathroom)|on (?:the|my) (?:floor|bus|stairs|bed))\b",
        rf"\b{_PERSON} (?:\w+ ){{0,4}}(?:throws?|threw|throwing) (?:\w+ ){{0,3}}at (?:me|us)\b(?! in)",
        r"\b(?:wont|dont|never|doesnt|refuses to) (?:let|give|gives|lets) (?:me|us) (?:eat|any food|food|sleep|go to (?:school|the doctor)|leave the house)\b",
        r"\bi (?:\w+ )?hide (?:\w+ ){0,4}(?:when|from|because|so) (?:\w+ ){0,2}(?:dad|mom|father|mother|step\w+|he|she|brother|uncle|boyfriend|him|her)\b",
        r"\b(?:will|would|going to|ll|wants? to) (?:post|show|leak|share|send) (?:\w+ ){0,3}my (?:\w+ )?(?:pictures?|pics?|photos?|nudes?|videos?)\b|\b(?:wants?|asked|asks|asking|told) (?:me )?to meet (?:\w+ )?(?:alone|in secret|at night|up alone)\b",
        r"\b(?:dont|no|not) (?:have )?(?:any ?where|any place|a place|a home|where) to (?:stay|sleep|live|go)\b",
        rf"\b(?:mi|un|el|ella|{_SIE}) (?:\w+ ){{0,2}}me (?:jala|jalo|empuja|empujo|patea|grita y|quema|ahorca|agarra|agarro|besa|manosea|castiga con|insulta y|hace (?:cosas|algo))\b(?! (?:la mano para|un pastel|feliz|reir|bien))",
        rf"\b(?:and|then) (?:{_VIOLENT}|{_ROUGH}) (?:me|us) (?:in|against|down|into|by the|around|on the|every)\b",
        r"\bi (?:\w+ )?(?:get|got|keep getting|am getting|been getting) (?:\w+ )?(?:hit|slapped|smacked|spanked|choked|kicked|punched|beaten|threatened|harassed|shoved)\b(?! (?:by (?:a|the) |with (?:a|the) (?:ball|idea|fact)))",
        r"\b(?:gets?|is|was|becomes?) violent (?:with|to|toward|towards|when|at|around)? ?(?:me|us|him drinks|he drinks|home)\b",
        r"\bleaves? (?:me|us) (?:home )?alone for (?:days|weeks|the (?:whole )?week)\b|\b(?:naked|nude|nudes|private) (?:pics?|pictures?|photos?|videos?) of me\b|\bnudes? of me\b",
        r"\b(?:take|took|taking) (?:my|off my) clothes(?: off)?\b|\b(?:please )?(?:dont|cant) tell (?:anyone|anybody|my mom|my dad|nobody) (?:but|about)\b",
        r"\b(?:pulled|has|had|put|points?|pointed|holds?|held) (?:a|the|his|her) (?:gun|knife|belt) (?:on|at|to|against) (?:me|us|my)\b",
        r"\bmade me bleed\b|\bleaves? marks\b|\bleft marks on me\b|\bblack eye from\b|\b(?:hits|hit|beats|beat) (?:my mom|my mother|my sister|my brother|my little)\b(?! (?:at|in)\b)",
        r"\bme (?:da|dan|dio) (?:\w+ )?(?:con (?:el|la|un|una) (?:cinto|cinturon|cable|palo|chancla|correa)|golpes|cachetadas|patadas|una paliza)\b|\bme deja(?:n)? marcas\b|\bentra (?:a|en) mi (?:cuarto|cama|recamara)\b",
        rf"\b(?:un|ese|este|el) {_MAN} me (?:sigue|persigue|toca|toco|mira cuando|espera|manda|ofrece)\b|\bme (?:sigue|persigue)n? (?:cuando|hasta|todos|a mi casa)\b|\bno tengo (?:donde|a donde) (?:dormir|vivir|ir)\b|\bme (?:dejan|deja) sol[oa] (?:por|varios|muchos)\b|\bme (?:corrieron|echaron) de (?:la|mi) casa\b",
        rf"\b(?:my |a |the )?(?:\w+ )?{_PERSON} (?:\w+ ){{0,4}}(?:touch\w*|hits?|hitting|beats?|hurts?|rapes?|kiss\w*) (?:my (?:little |big |older |baby )?(?:sister|brother|mom|mother|siblings) and me|me and my (?:\w+ )?(?:sister|brother|mom|mother))\b",
        r"\b(?:stepdad|husband|stranger|man|guy|old man|someone|dude|adult|teacher|coach|he|she) (?:\w+ ){0,4}(?:messag\w+|texts?|texting|dms?|snaps?|calls?|asks?|asking|writes?) (?:\w+ )?me (?:\w+ ){0,3}(?:for (?:nudes?|pics|pictures|photos|sex)|to (?:send|meet|come over|undress)|at night|secretly)\b",
        r"\b(?:stepdad|husband|stranger|uncle) (?:\w+ )?touch\w* (?:me|my|us)\b|\b(?:they|he|she|boys|girls|kids|people) (?:\w+ ){0,6}(?:to |wanna |want to |going to )(?:beat|jump|fight|kill|hurt|stab|shoot) me\b(?! (?:at|in) (?:chess|basketball|the game))",
        r"\b(?:then|and|and then) (?:punch\w*|hits?|slap\w*|kick\w*|beats?) me\b(?! (?:at|in)\b)|\bnos (?:pega|golpea|toca|maltrata|amenaza|encierra)n?\b(?! (?:la historia|el sol))",
        r"\b(?:mom|dad|mother|father|parents?|stepdad) (?:\w+ ){0,2}(?:on drugs|does drugs|uses drugs|always drunk|gets? drunk and|is drunk every|passed out)\b|\b(?:nothing|no food|not anything) (?:for (?:me|us) )?to eat at home\b",
        r"\b(?:comes?|came|sneaks?) (?:in|into|to) my (?:room|bed)\b",
        r"\b(?:does|did|do) (?:bad |weird |sexual )?(?:things|stuff) to me\b",
        r"\bi (?:was|got|get|been|am being|have been|am) (?:\w+ )?(?:raped|molested|assaulted|groped|abused|beaten|beat|touched (?:by|in)|whipped|trafficked|jumped|bullied)\b",
        r"\b(?:im|ive been|i been) (?:\w+ )?(?:being |getting |been )?(?:raped|molested|assaulted|abused|beaten|beat|whipped|bullied|harassed|blackmailed|stalked)\b(?! (?:at|in|by) (?:chess|basketball|the game|games))",
        r"\braped me\b|\bmolested me\b|\bbeat me up\b|\bbeats? (?:me|us) (?:up|with|every|at home|when)\b|\bjump(?:s|ed)? me\b",
        r"\b(?:im|i am|i feel|i get|ive been) (?:\w+ )?(?:scared|afraid|terrified|frightened) (?:to (?:go|be) (?:\w+ )?home|of (?:my )?(?:dad|father|mom|mother|step\w+|brother|uncle|boyfriend|parents?|him|going home)|at home|for my life)\b",
        r"\bi dont feel safe (?:at|in my|with|going|around)\b|\b(?:im|i am) not safe\b|\bunsafe at home\b",
        r"\bi have (?:\w+ )?bruises\b|\bbruises (?:from|all over)\b",
        r"\b(?:lock|locks|locked) me (?:in|out|up)\b|\b(?:dont|wont|never|refuses? to|nobody|no one) (?:\w+ ){0,2}feeds? (?:me|us)\b",
        r"\b(?:theres|there is|we have|i have|weve|ive|got) (?:no|nothing) (?:\w+ )?(?:food at home|to eat(?: at home)?)\b|\b(?:kicked|threw|thrown|kick) me out\b|\b(?:nowhere|no place|no where) to (?:sleep|live|stay|go home)\b",
        r"\bwe(?: are|re)? (?:live|living|sleep|sleeping) in (?:the|our|a) (?:car|van|shelter)\b|\bi (?:am |was |m )?(?:homeless|living on the street)\b|\b(?:mom|dad|mother|father) (?:\w+ )?(?:left|hasnt come home|never came (?:back|home)|is gone)(?: us| me| and| in| for)\b(?! (?:the|his|her|for (?:work|a job)|a job|in (?:the|18|19|20))\b)",
        r"\bi (?:ran|run|running) away from home\b",
        r"\b(?:said|says|told me|threatened|saying|going) (?:\w+ ){0,3}(?:kill|hurt|stab|shoot|beat) me\b|\bkill me if i\b|\bif i (?:tell|told|say) (?:\w+ ){0,3}(?:hurt|kill|hit|beat) me\b",
        r"\b(?:threatening|blackmailing|stalking|harassing|sextorting) me\b|\b(?:asking|asks?|wants?|wanting|begging) (?:me )?(?:for|to send) (?:\w+ ){0,3}(?:nudes?|pics|pictures|mine)\b|\bsend(?:s|ing)? me (?:\w+ )?(?:nudes?|dick pics?)\b",
        r"\b(?:follow(?:s|ing|ed)?|watch(?:es|ing)) me (?:home|to my house|everywhere|outside)\b",
        r"\bbull(?:y|ies|ied|ying) me\b|\b(?:get|getting|got|being) bullied (?:at|every|by|on|in)\b",
        rf"\b(?:mi|mis|el|ella|{_SIE}) (?:{_SIE} )?(?:\w+ ){{0,2}}me (?:pega|pegan|pego|golpea|golpean|golpeo|toca|tocan|toco|maltrata|abusa|viola|violo|lastima|amenaza|obliga|encierra|hace dano|quiere matar)\b(?! (?:el corazon|la risa|mucho el sol))",
        r"\bme (?:violaron|violo|pegan|pegaron|golpean|golpearon|maltratan|amenazan|estan (?:pegando|amenazando)|tocaron|obligan a)\b",
        r"\b(?:tengo|me da) miedo (?:de |a )?(?:ir|volver|estar|llegar) (?:a|en) (?:mi )?casa\b|\btengo miedo (?:de|a) mi (?:papa|mama|padre|madre|padrastro|novio)\b|\bno me siento segur\w+ en (?:mi )?casa\b|\bno hay (?:comida|nada (?:de|que|para) comer) en (?:mi )?casa\b",
    ),
    STOP: (
        r"^(?:\w+ ){0,2}(?:i|we) (?:\w+ )?(?:want|like|need) to (?:stop|quit|leave|go home|finish|be done|end this|pause|get out)(?: (?:now|please|pls|this|here|already|rn|it|doing this|answering|the (?:session|study|test|questions|lesson|survey)|with this|tbh|bro|so bad))*$",
        r"\b(?:i|we) (?:\w+ )?(?:want|like|need) to (?:stop|quit|leave|end|be done with|get out of) (?:now|this|doing this|answering|please|the (?:session|study|test|survey))\b(?! (?:from|in the|war|slavery|fight|unfair|racis))",
        r"\b(?:can|could|may|pls|please) (?:i|we) (?:please |just |pls )?(?:stop|quit|leave|go home|be done|take a break|pause|go now|get out|go|end|end this|end here|finish early|finish)(?: (?:now|please|pls|this|already|here|rn|early|home))*$",
        r"\b(?:can|could|may) (?:i|we) (?:please )?(?:stop|be done|take a break|pause) (?:now|please|this|doing)\b",
        r"\b(?:please |just )?let me (?:stop|out|leave|go|quit)(?: of (?:this|here))?(?: now| please| pls)*$",
        r"\bi dont (?:want|wish|like) to (?:do (?:this|it)|answer (?:\w+ )?(?:questions|more|anything|anymore)|continue|keep going|go on|be in (?:this|the) study|be part of|take part|participate|finish(?: this)?|be here anymore)\b(?! (?:with slavery|to them))",
        r"\b(?:i|we) (?:just )?want out\b(?! of (?:slavery|the war))|\bi ?dw (?:to )?do this\b|\b(?:can|could|pls|please|will) (?:someone|somebody|u|you) (?:please |just )?(?:end|stop) (?:this|it)(?: for me| now| please)?\b",
        r"\b(?:can|could|may) (?:i|we) (?:please )?(?:finish|do this|do it|come back|continue) (?:later|another (?:time|day)|tomorrow|next time)\b|\b(?:can|could|will) (?:you|u) (?:please )?let me (?:go|stop|leave|out)\b",
        r"\bi dont want to be (?:in|part of) (?:this|the study|it)\b|\b(?:im )?not (?:doing|answering|finishing) (?:this|these|it|anything|any more)(?: questions)? ?(?:anymore|sorry|bye|now)\b|\bi (?:want|wish|would like|d like) to (?:withdraw|drop out|opt out|be excused|withdraw from (?:this|the study)|take a break|end (?:this|the session|it) (?:now|here|early))\b|\bi changed my mind (?:about (?:this|the study|doing)|i dont want)\b|\bget me out of (?:here|this)\b|\bi cant (?:do|finish) this (?:test|study|anymore|right now)\b|\bi (?:refuse|wont) (?:to )?(?:answer|continue|do this)\b",
        r"^(?:ya )?(?:me quiero|me quisiera|quiero|quisiera) (?:ir|salir(?:me)?|irme|parar|terminar|acabar|retirar(?:me)?)(?: (?:ya|esto|por favor|ahora|de aqui|del estudio))*$|\bno quiero (?:estar en (?:esto|el estudio|este estudio)|seguir con esto|hacer esto)\b",
        r"\b(?:can|could|may) (?:i|we) (?:please )?be (?:finished|done|excused|through)(?: (?:now|please|with this))*$|\bi dont feel like (?:continuing|going on|doing this|finishing|answering)\b|\b(?:quiero|prefiero) dejar de (?:contestar|responder|hacer esto|participar)\b|\b(?:please|pls) end (?:this|the session|it)\b(?! (?:war|slavery))",
        r"^(?:ok )?i (?:quit|give up|am done|m done)$|^(?:nah )?im (?:done|out)(?: (?:i dont|bye|with this|now))*$|\bim done i dont\b",
        r"\b(?:how do i|how can i|i want to) (?:stop|exit|quit|leave|end) (?:this|the (?:session|study|test))\b|^(?:please |pls )?(?:stop|end) (?:this|it|the (?:session|test|study))?(?: now| please| pls)*$|^make (?:it|this) stop(?: please| now)*$|^stop$",
        r"^(?:\w+ )?i (?:really )?(?:need|want) (?:to take )?a break(?: now| please| pls| from this)*$",
        r"^(?:ya )?(?:no quiero (?:seguir|continuar|hacer (?:esto|mas)|contestar mas|responder mas|participar)|quiero (?:parar|irme|salir|terminar|dejar(?:lo)?|descansar))(?: (?:ya|por favor|de esto|de aqui|ahora|esto|mas|con esto|a mi casa))*$",
        r"^(?:ya )?me puedo ir(?: ya| por favor)*$|^(?:puedo|podemos|podria|puede) (?:irme|parar|salir|terminar|descansar|irnos|dejar)(?:lo| esto| ya| por favor| ahora)*$",
    ),
}
_FOUND = {kind: re.compile("|".join(patterns)) for kind, patterns in _PATTERNS.items()}

_LESSON = (
    r"(?:slaves?|enslaved|slavery|owned|sold|in (?:their|his|her) (?:place|shoes)|back then|those days|that time|the furnaces?"
    r"|worked there|work there|lived then|live(?:d)? there|a puddler|a worker|a soldier|the war|whipped like that)"
)
_SUPPOSED = re.compile(
    rf"\bif (?:i|we|you|someone|somebody|they) (?:\w+ ){{0,4}}{_LESSON}|\b(?:i|you|we) (?:would|d|might|could) (?:\w+ ){{0,8}}(?:if|than) (?:\w+ ){{0,5}}{_LESSON}"
    r"|\brather die than\b|\b(?:would|d) (?:\w+ ){1,4}if (?:someone|somebody|anyone|anybody|they|an owner)\b"
)
_REALLY = re.compile(
    r"\b(?:my|mi) (?:step)?(?:dad|father|mom|mother|uncle|papa|mama|padre|boyfriend|brother)|at home|right now|every ?day|last night|en casa"
)
_JOKE = re.compile(
    r"\b(?:die|dying|died|dead|killing me|kill me|muero|morir\w*) (?:\w+ )?(?:of|from|de|laughing|lol) (?:heat|boredom|hunger|laughter|cold|calor|risa|hambre|aburrimiento|frio|thirst|embarrassment)\b"
)


def signs(text: str) -> tuple[Kind, ...]:
    """The kinds of sign in a text, the gravest first; empty for nearly all that students write."""
    found: set[Kind] = set()
    for plain in _sentences(text):
        supposed = _SUPPOSED.search(plain) and not _REALLY.search(plain)
        for kind, pattern in _FOUND.items():
            if pattern.search(plain) and not (supposed and kind != STOP):
                found.add(kind)
    return tuple(kind for kind in (SELF, HARM, STOP) if kind in found)


def signs_in(texts: Iterable[str]) -> tuple[Kind, ...]:
    """The same over all texts of one answer, such as those of a survey."""
    found = {kind for text in texts for kind in signs(text)}
    return tuple(kind for kind in (SELF, HARM, STOP) if kind in found)


def _sentences(text: str) -> Iterable[str]:
    """In plain letters, with common spellings brought together; commas end nothing, for students use few."""
    for sentence in re.split(r"[.!?;\n\u2026]+", text):
        for start in range(0, len(sentence), PIECE):  # pieces overlap, so that none cuts a sign in two
            plain = _JOKE.sub(" ", _plain(sentence[start : start + PIECE + OVERLAP]))
            if plain.strip():
                yield " ".join(plain.split())


def _plain(sentence: str) -> str:
    plain = " ".join(re.sub(r"[^\w\s'\u2018\u2019`\u00b4]|_", " ", folded(sentence)).split())
    for pattern, spelling in _SPELLINGS:
        plain = re.sub(pattern, spelling, plain)
    return " ".join(plain.split())
