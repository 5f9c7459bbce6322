"""Draws identifiers of 13 kinds in 10 languages; another draw is another seed.

Words are put together of stems and endings of a language and are not in the vocabulary of reports, so that any of them
in an output is a leak. Dates, years, ages, numbers and names that are words ("Young") may stand in an output by
coincidence: a control draw (``control=True``) has other ones in the same places, and all else the same.
"""

import random
from dataclasses import dataclass, field
from enum import StrEnum

from pipelines.privacy.vocabulary import is_known

__all__ = ["AGES", "Draw", "Identifier", "Kind"]


class Kind(StrEnum):
    """What an identifier identifies by."""

    NAME = "name"
    PLACE = "place"
    INSTITUTION = "institution"
    ADDRESS = "address"
    RECORD = "record number"
    ACCESSION = "accession number"
    SERIAL = "device serial"
    PHONE = "phone"
    EMAIL = "e-mail"
    DATE = "date"
    YEAR = "birth year"
    AGE = "age over 89"
    UID = "UID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """One planted identifier."""

    kind: Kind
    language: str
    place: str  # where it is planted
    value: str  # as it is planted
    secrets: tuple[str, ...] = ()  # words that are no others', to be found nowhere
    words: tuple[str, ...] = ()  # what may stand elsewhere by coincidence: compared with the control


@dataclass(frozen=True, slots=True)
class _Language:
    stems: tuple[str, ...]
    endings: tuple[str, ...]
    given: tuple[str, ...]
    institution: str
    address: str


def _language(stems: str, endings: str, given: str, institution: str, address: str) -> _Language:
    return _Language(tuple(stems.split()), tuple(endings.split()), tuple(given.split()), institution, address)


_LANGUAGES = {
    "English": _language(
        "Thorn Hather Wick Bram Quill Cald Pem Oaken Fother Ravens Cholm Hollin",
        "bury-Ash leyton combesby stokeham wrightson gillworth fordyce shawcroft brookham welldon thwaite grimsby",
        "Ermintrude Bartholomew Philippa Thaddeus Rosalind Cuthbert",
        "{} Memorial Infirmary",
        "{number} {} Lane",
    ),
    "German": _language(
        "Grün Schwarzen Hinter Ober Nieder Müh Krö Bäum Löff Zimmer Würt Pfeif",
        "hofer bacher huberin meisterle ländler wieser egger städter leitner brunner tobler gässler",
        "Waltraud Wolfgang Liselotte Dietmar Hannelore Gottfried",
        "Klinikum {}",
        "{}straße {number}",
    ),
    "Polish": _language(
        "Brzo Wiśnio Szcze Kowal Dąbro Jabło Przyby Góro Zieli Wojcie Ździe Łącz",
        "zowski lewska kiewicz szczyk narowska niewicz słowicz ciński paniak rczyńska mborska łęcka",
        "Zdzisława Grzegorz Małgorzata Przemysław Bożena Kazimierz",
        "Szpital {}",
        "ul. {} {number}",
    ),
    "Turkish": _language(
        "Öz Yıldı Kara Gündo Akçe Çeti Şahin Demirö Ergü Koçak İnce Uğur",
        "türkoğlu doğan bulutlu soylu gürbüz taşkın kaynak yürek rçelik pınar şoğlu ğerli",
        "Gülşen Süleyman Ayşegül İbrahim Özlem Çağatay",
        "{} Devlet Hastanesi",
        "{} Caddesi No {number}",
    ),
    "Spanish": _language(
        "Echeva Zumala Goiko Villa Monta Fuente Quinta Castañe Iturri Beltrá Aranza Urrutia",
        "rriaga ndieta lbarán ñeque rreteja ntxausti ldívar mendi zábal goitia rrúe güenza",
        "Concepción Hermenegildo Inmaculada Fermín Encarnación Evaristo",
        "Hospital de {}",
        "Calle {} {number}",
    ),
    "Greek": _language(
        "Παπα Χατζη Καρα Γεωργα Θεο Αναγνω Δημη Σταμα Μαυρο Κωνστα",
        "δόπουλος γιάννης κωστάκης ντωνίου μανωλάκη στόπουλος τρακάκη νικολάου δάκης φύλλης",
        "Αικατερίνη Παναγιώτης Ευφροσύνη Αριστείδης Δέσποινα Χαράλαμπος",
        "Νοσοκομείο {}",
        "οδός {} {number}",
    ),
    "Russian": _language(
        "Соко Вино Черны Мель Кузне Пого Зайце Тимо Белоу Гурье",
        "шевский градова чиков дьяненко цевич феевна рохов нецкая лапин саров",
        "Прасковья Владислав Евдокия Мстислав Аграфена Ярополк",
        "Больница имени {}",
        "улица {} {number}",
    ),
    "Arabic": _language(
        "الحس المنص العبا الشري النجا الكري السلي الفار الزهر البدر",
        "يني وريان اسيدي فانوس ماوي ميدان وقيان اريدي اوينا تيسان",
        "عبدالرحمن فاطمة مصطفى خديجة إبراهيم زليخة",
        "مستشفى {}",
        "شارع {} {number}",
    ),
    "Chinese": _language(
        "欧阳 司马 诸葛 慕容 上官 皇甫 尉迟 公孙 东方 夏侯",
        "文博 雨桐 思远 婉清 浩然 静姝 景行 若兰 承志 晓彤",
        "建国同志 淑芬大姐 志强先生 秀英女士 海燕护士 永福老师",
        "{}纪念医院",
        "{}路{number}号",
    ),
    "Japanese": _language(
        "佐々木 小野寺 五十嵐 長谷川 勅使河原 東海林 久保田 大久保 四十万 小早川",
        "健太郎 由美子 慎之介 沙也加 龍之介 美津子 幸四郎 千恵子 宗一郎 真理恵",
        "さくらこ ゆきのすけ みつはる かなえさん ひでとし あやめさん",
        "{}総合病院",
        "{}町{number}番地",
    ),
}
_WORDS = (  # names that are words of reports or of English
    *("Young", "Long", "White", "Green", "Brown", "Field", "Banks", "Bush", "Price", "Cross", "Stone", "Rice"),
    *("Marsh", "Church", "Park", "Small", "Short", "Sharp", "Wall", "Head", "Hand", "Day", "Winter", "Noble"),
)
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")
_PHONES = ("+48 {} {} {}", "0{} {}{}", "({}) {}-{}9", "+90 {} {} {}", "{}-{}-{}7")
_RECORDS = ("{}{}", "{}-{}", "{}/{}", "{} {}")
_LETTERS = "GHJKLMNPQRTUVWXYZ"  # none of hexadecimal digits
AGES = ("{}-year-old", "{} year old", "{}F", "{}M", "{} yo", "{}y", "aged {}", "{} years", "0{}Y", "{}Y", "age {}")


@dataclass(slots=True)
class Draw:
    """Draws identifiers one after the other, and keeps them."""

    seed: int
    control: bool = False
    planted: list[Identifier] = field(default_factory=list)
    _same: random.Random = field(init=False)
    _other: random.Random = field(init=False)  # for what is another in the control
    _used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._same = random.Random(f"identifiers {self.seed}")
        self._other = random.Random(f"identifiers {self.seed} {self.control}")

    @property
    def secrets(self) -> list[str]:
        """Every word that must be found nowhere."""
        return sorted({secret for each in self.planted for secret in each.secrets})

    @property
    def words(self) -> list[str]:
        """Every word that must not be found more often than in the control."""
        return sorted({word for each in self.planted for word in each.words})

    def name(self, place: str, *, form: str = "{given} {family}", latin: bool = False) -> str:
        """A person's name; ``form`` has their given and family name."""
        language, family = self._word(latin=latin)
        given = self._same.choice(_LANGUAGES[language].given)
        value = form.format(given=given, family=family)
        secrets = (family, given) if "{given}" in form else (family,)
        return self._keep(Kind.NAME, language, place, value, secrets=secrets)

    def word_name(self, place: str, form: str = "{}") -> str:
        """A name that is a word too."""
        word = self._other.choice([each for each in _WORDS if each not in self._used])
        self._used.add(word)
        return self._keep(Kind.NAME, "English", place, form.format(word), words=(word,))

    def place(self, place: str) -> str:
        """A town."""
        language, word = self._word()
        return self._keep(Kind.PLACE, language, place, word, secrets=(word,))

    def institution(self, place: str) -> str:
        """A hospital."""
        language, word = self._word()
        return self._keep(
            Kind.INSTITUTION, language, place, _LANGUAGES[language].institution.format(word), secrets=(word,)
        )

    def address(self, place: str) -> str:
        """A street with its number."""
        language, word = self._word()
        value = _LANGUAGES[language].address.format(word, number=self._same.randint(2, 99))
        return self._keep(Kind.ADDRESS, language, place, value, secrets=(word,))

    def email(self, place: str) -> str:
        """An address of mail, of a person and a host."""
        user, host = self._coded(), self._coded()
        value = f"{user}@{host}.example".lower()
        return self._keep(Kind.EMAIL, "any", place, value, secrets=(user, host))

    def record(self, place: str) -> str:
        """A patient's number: of digits, or with letters."""
        if self._same.random() < 0.5:
            code = self._coded()
            return self._keep(Kind.RECORD, "any", place, code, secrets=(code,))
        parts = self._digits(3, other=True), self._digits(4, other=True)
        value = self._same.choice(_RECORDS).format(*parts)
        return self._keep(Kind.RECORD, "any", place, value, words=(value, "".join(parts)))

    def accession(self, place: str) -> str:
        """A number of eight digits."""
        value = self._digits(8, other=True)
        return self._keep(Kind.ACCESSION, "any", place, value, words=(value,))

    def serial(self, place: str) -> str:
        """A device's number."""
        value = f"{self._coded()}-{self._digits(2, other=False)}"
        return self._keep(Kind.SERIAL, "any", place, value, secrets=(value.split("-", maxsplit=1)[0],))

    def phone(self, place: str) -> str:
        """A telephone number, in the forms of several countries."""
        parts = [self._digits(3, other=True) for _ in range(3)]
        value = self._same.choice(_PHONES).format(*parts)
        last = value[-7:].strip("-) ")
        return self._keep(Kind.PHONE, "any", place, value, words=(value.strip("+"), last))

    def date(self, place: str, *, years: tuple[int, int] = (2009, 2024), dicom: bool = False) -> str:
        """A day, in one of the forms in which it may be searched for."""
        year, month, day = self._other.randint(*years), self._other.randint(1, 10), self._other.randint(13, 28)
        spoken = _MONTHS[month - 1]
        forms = (
            *(f"{year}{month:02}{day}", f"{year}-{month:02}-{day}", f"{day}/{month:02}/{year}"),
            *(f"{month}/{day}/{year}", f"{day}.{month:02}.{year}", f"{day} {spoken} {year}", f"{spoken} {day}, {year}"),
            *(f"{day}-{spoken[:3]}-{year}", f"{year}年{month}月{day}日", f"{month:02}/{day}/{year % 100:02}"),
        )
        value = forms[0] if dicom else self._same.choice(forms[1:])
        kind = Kind.YEAR if years[1] < 2000 else Kind.DATE
        return self._keep(kind, "any", place, value, words=(*forms, str(year)))

    def year(self, place: str, form: str = "{}") -> str:
        """A year of birth."""
        year = self._other.randint(1922, 1936)
        return self._keep(Kind.YEAR, "any", place, form.format(year), words=(str(year),))

    def age(self, place: str, form: str) -> str:
        """An age over 89 in years."""
        age = self._other.randint(90, 99)
        words = tuple(each.format(age) for each in AGES)
        return self._keep(Kind.AGE, "any", place, form.format(age), words=words)

    def uid(self, place: str) -> str:
        """A unique identifier of DICOM."""
        value = f"2.25.{self._digits(30, other=False)}"
        return self._keep(Kind.UID, "any", place, value, secrets=(value.removeprefix("2.25."),))

    def pick(self, *, below: int) -> int:
        """Draw a number for a choice of the cohort's own, the same in the control."""
        return self._same.randrange(below)

    def _word(self, *, latin: bool = False) -> tuple[str, str]:
        while True:
            language = "English" if latin else self._same.choice(list(_LANGUAGES))
            parts = _LANGUAGES[language]
            word = (self._same.choice(parts.stems) + self._same.choice(parts.endings)).replace("-", "")
            if word not in self._used and not is_known(word.casefold()):
                self._used.add(word)
                return language, word

    def _coded(self) -> str:
        """Letters with digits between them: no key, number or word has these."""
        parts = [self._same.choice(_LETTERS) + self._same.choice(_LETTERS) + self._digits(2, other=False) for _ in "ab"]
        return "".join(parts)

    def _digits(self, number: int, *, other: bool) -> str:
        source = self._other if other else self._same
        return source.choice("123456789") + "".join(source.choice("0123456789") for _ in range(number - 1))

    def _keep(
        self,
        kind: Kind,
        language: str,
        place: str,
        value: str,
        *,
        secrets: tuple[str, ...] = (),
        words: tuple[str, ...] = (),
    ) -> str:
        self.planted.append(
            Identifier(kind=kind, language=language, place=place, value=value, secrets=secrets, words=words)
        )
        return value
