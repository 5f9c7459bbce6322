"""Recognises reports that are not in English, by a vote of frequent words.

Findings, negation and sides are read in English only: "Kein Pneumothorax" would be read as a pneumothorax. The words
are those that a language uses in almost every report, and that English does not use.
"""

import re
from collections import Counter
from functools import lru_cache
from typing import Final

__all__ = ["language_of"]

_WORD = re.compile(r"[^\W\d_]{2,}")
_FEWEST_VOTES = 2
_MOST_CHARACTERS = 5_000  # of a report that are looked at

_WORDS: Final = {
    "English": (
        "the of and is are was were with there this that no not in for has have been be seen without within "
        "normal left right lung lungs heart size chest clear limits acute evidence pleural effusion unremarkable "
        "findings impression a i an as at on or by to do from which may per sign signs conclusion image visible "
        "op study comparison changes stable mild"
    ),
    "German": (
        "der die das und ist sind nicht kein keine keinen keiner mit ohne bei auf im ein eine eines einer des dem "
        "den zum zur nach links rechts beidseits linksseitig rechtsseitig lunge lungen herz erguss pleuraerguss "
        "befund beurteilung nachweis hinweis wird wurde sich auch unauffällig verschattung stauung regelrecht"
    ),
    "French": (
        "le la les des du et est sont pas sans avec dans une aux au sur ce cette gauche droite droit poumon "
        "poumons coeur cœur épanchement pleural pleurale absence il opacité compte rendu"
    ),
    "Spanish": (
        "el los las del y es son sin con una por para se al izquierdo izquierda derecho derecha derrame pulmón "
        "pulmonar pulmonares corazón hallazgos impresión signos observa observan torax tórax cardiaca cardíaca "
        "silueta hallazg pinzamient cardiomegali "
        # stems of words, as PadChest publishes its reports
        "cambi cronic izquierd derech derram siluet cardi radiografi actual previ tub endotraqueal esternotomi engros "
        "pequen alter radiolog significacion sutil infiltr sen costofren libr patolog pacient estudi apreci condens"
    ),
    "Italian": (
        "il lo gli della delle del dei di e è sono non senza con una nel nella si sinistra sinistro destra destro "
        "versamento polmone polmonare polmoni cuore cardiaca ombra reperti conclusioni nei limiti alla alle"
    ),
    "Portuguese": (
        "o os as do da dos das e é são não sem com uma no na nos nas esquerdo esquerda direito direita derrame "
        "pulmão pulmões coração impressão achados tórax área cardíaca seios costofrênicos livres ausência sinais"
    ),
    "Dutch": (
        "de het een en is zijn niet geen met zonder bij voor links rechts rechter linker longen hart "
        "pleuravocht conclusie verslag wordt werd ook beeld aanwijzingen normale slank"
    ),
    "Polish": (
        "i w z na nie jest są bez po oraz do od lewej prawej lewego prawego płuc płuca serce serca opłucnej płyn "
        "widoczne wniosek sylwetka cechy zmian stronie pola płucne ogniskowych"
    ),
    "Swedish": (
        "och är inte ingen inga med utan på av till för höger vänster lunga lungor hjärta hjärtat pleuravätska "
        "utlåtande normal som det ett en vid bedömning förstorat"
    ),
    "Danish or Norwegian": (
        "og er ikke ingen med uden uten på af av til for højre høyre venstre lunge lunger hjerte pleuravæske "
        "konklusion konklusjon som det et en ved vurdering"
    ),
    "Turkish": (
        "ve bir ile olarak izlendi izlenmedi sağ sol akciğer akciğerde kalp plevral efüzyon doğal yok mevcut "
        "sonuç bulgular saptanmadı her iki"
    ),
    "Finnish": (
        "ja on ei ole eikä sydän keuhko keuhkot keuhkoissa oikea vasen oikealla vasemmalla nestettä lausunto "
        "pleuranestettä normaali kooltaan"
    ),
    "Czech or Slovak": (
        "a je jsou není bez na v s vpravo vlevo plíce plic srdce výpotek závěr pleurální pohrudniční ložiskové "
        "změny nález stín"
    ),
}
# Scripts in which English is not written; Chinese and Japanese share one.
_SCRIPTS: Final = (
    ("Russian or another language in Cyrillic", re.compile(r"[\u0400-\u04ff]+")),
    ("Greek", re.compile(r"[\u0370-\u03ff]+")),
    ("Arabic or Persian", re.compile(r"[\u0600-\u06ff]+")),
    ("Hebrew", re.compile(r"[\u0590-\u05ff]+")),
    ("Japanese", re.compile(r"[\u3040-\u30ff]+")),
    ("Korean", re.compile(r"[\uac00-\ud7af]+")),
    ("Chinese", re.compile(r"[\u4e00-\u9fff]+")),
    ("Thai", re.compile(r"[\u0e00-\u0e7f]+")),
    ("Hindi or another language in Devanagari", re.compile(r"[\u0900-\u097f]+")),
)
_SETS: Final = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_ONLY: Final = {
    language: words - _SETS["English"] if language != "English" else words for language, words in _SETS.items()
}


@lru_cache(maxsize=1 << 12)
def language_of(text: str) -> str | None:
    """Return the language of a report if it is clearly not English; None for English, and where it cannot be told.

    A language wins if the report has at least two of its words, more than twice as many as of English, and more than of
    any other language. A script other than Latin wins if most letters are of it.
    """
    looked_at = text[:_MOST_CHARACTERS]
    words = [word.casefold() for word in _WORD.findall(looked_at)]
    letters = sum(map(len, words))
    for language, script in _SCRIPTS:
        if 2 * sum(map(len, script.findall(looked_at))) > letters:
            return language
    votes = Counter(language for word in words for language, known in _ONLY.items() if word in known)
    english = votes.pop("English", 0)
    ranked = votes.most_common(2)
    if not ranked or ranked[0][1] < max(_FEWEST_VOTES, 2 * english + 1):
        return None
    return ranked[0][0]
