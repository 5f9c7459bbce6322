"""Fields, repeats, components and escapes of an HL7 version 2 segment.

Source: HL7 v2.5.1, chapter 2.5 (delimiters) and 2.7 (escapes).
"""

import re
from dataclasses import dataclass

from pipelines.limits import MAX_HL7_FIELDS

__all__ = ["Delimiters", "Segment"]

_MOST_REPEATS = 10_000
_LINE_BREAKS = frozenset({".br", ".sp", ".ce", ".sk"})
_NO_DELIMITER = re.compile(r"[\w\s]")  # a letter as escape would part words, and take a time that grows as a square
_COMMAND = r"[HNFSTREP]|[XCM](?:[0-9A-Fa-f]{2})+|Z\w*|\.[A-Za-z]{2} ?[+-]?\d*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delimiters:
    """What parts the fields of a message, as its own header says."""

    field: str = "|"
    component: str = "^"
    repeat: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @classmethod
    def of(cls, header: str) -> "Delimiters":
        """Read MSH-1 and MSH-2; what the header leaves out is as usual."""
        given = header[4:].split(header[3], maxsplit=1)[0]
        usual = "^~\\&"
        names = ("component", "repeat", "escape", "subcomponent")
        letters = [
            usual[place] if _NO_DELIMITER.match(letter) else letter for place, letter in enumerate(given[:4].ljust(4))
        ]
        return cls(field=header[3], **dict(zip(names, letters, strict=True)))

    @property
    def line_break(self) -> str:
        """The escape for a new line."""
        return f"{self.escape}.br{self.escape}"

    def unescape(self, text: str) -> str:
        r"""Put letters and line breaks in the place of escapes, in one pass, so that ``\E\.br\E\`` stays what it says.

        A spacing command gives one line, whatever number it asks for; highlighting and local escapes give nothing. What
        is no escape of the standard stays as it is: some systems send a backslash as the radiologist typed it, and two
        of them would take the words in between with them.
        """
        if self.escape not in text:
            return text
        escape = re.escape(self.escape)
        return re.sub(f"{escape}({_COMMAND}){escape}", lambda match: self._escaped(match[1]), text)

    def _escaped(self, command: str) -> str:
        letters = {
            "F": self.field,
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repeat,
            "E": self.escape,
        }
        if command in letters:
            return letters[command]
        if command[:3].casefold() in _LINE_BREAKS:
            return "\n"
        if command[:1] == "X":
            read = bytes.fromhex(command[1:])
            try:
                return read.decode("utf-8")
            except UnicodeDecodeError:
                return read.decode("latin-1")
        return " " if command.startswith(".") else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One line of a message. Fields count as the standard counts them: of MSH the separator itself is the first."""

    name: str
    fields: tuple[str, ...]  # from field 1 on, still escaped
    delimiters: Delimiters

    @classmethod
    def of(cls, line: str, delimiters: Delimiters) -> "Segment":
        """Part a line into its fields; what comes after ``MAX_HL7_FIELDS`` stays with the last of them."""
        name, *fields = line.split(delimiters.field, maxsplit=MAX_HL7_FIELDS)
        own = (delimiters.field, *fields) if name == "MSH" else tuple(fields)
        return cls(name=name, fields=own, delimiters=delimiters)

    def repeats(self, position: int) -> tuple[str, ...]:
        """The repeats of a field, still escaped; empty where the segment ends before it, many in the last of them."""
        if position > len(self.fields):
            return ()
        return tuple(self.fields[position - 1].split(self.delimiters.repeat, maxsplit=_MOST_REPEATS))

    def component(self, position: int, component: int = 1, subcomponent: int = 1) -> str:
        """One part of the first repeat of a field; "" where there is none."""
        if position > len(self.fields):
            return ""
        return self.part(
            self.fields[position - 1].split(self.delimiters.repeat, maxsplit=1)[0], component, subcomponent
        )

    def part(self, repeat: str, component: int, subcomponent: int = 1) -> str:
        """One part of a repeat; "" where there is none."""
        components = repeat.split(self.delimiters.component, maxsplit=component)
        if component > len(components):
            return ""
        parts = components[component - 1].split(self.delimiters.subcomponent, maxsplit=subcomponent)
        return self.plain(parts[subcomponent - 1]).strip() if subcomponent <= len(parts) else ""

    def plain(self, text: str) -> str:
        """Text without escapes."""
        return self.delimiters.unescape(text)
