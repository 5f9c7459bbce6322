"""The file of the protocol: read strictly, written with a comment for each field; and whether it names a model."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from pydantic import BaseModel, ValidationError

from audit.configuration import describe_error, flag_of
from pipelines.errors import AuditError
from reports.protocol_record import Protocol
from reports.reading import checksum

__all__ = ["PROTOCOL_COMMAND", "ReadProtocol", "as_toml", "fault_of_protocol", "read_protocol", "refuse_other_model"]

PROTOCOL_COMMAND = "m2ib-audit plan --protocol-out FILE"
_MOST_BYTES = 1 << 20
_WIDTH = 117
_HEAD = """\
# Protocol of an audit: what is asked, decided before the first result. Edit it, then give it to every command of the
# audit: `m2ib-audit run --protocol FILE`. Its checksum is written to run.json and to the audit log before the first
# study is audited, and the page says which questions were planned. A file with any change is another protocol.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadProtocol:
    """A protocol and the SHA-256 of its file."""

    content: Protocol
    sha256: str


def read_protocol(path: Path) -> ReadProtocol:
    """Read the file of a protocol.

    Raises:
        AuditError: it cannot be read, is not TOML, a key is unknown or missing, or a value does not fit; the message
            names the key.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise AuditError(f"--protocol {path}: is larger than any protocol; write one with `{PROTOCOL_COMMAND}`")
        table = tomllib.loads(content.decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise AuditError(f"--protocol {path}: cannot be read ({reason})") from error
    except tomllib.TOMLDecodeError as error:
        raise AuditError(f"--protocol {path}: is not valid TOML ({error})") from error
    try:
        read = Protocol.model_validate_json(json.dumps(_with_field_names(table), default=str), strict=True)
    except ValidationError as error:
        raise AuditError(f"--protocol {path}: {fault_of_protocol(error)}") from error
    return ReadProtocol(content=read, sha256=checksum(content))


def fault_of_protocol(error: ValidationError) -> str:
    """Describe the first fault of a protocol, with its key if it is the fault of one."""
    first = error.errors()[0]
    return describe_error(error) if first["loc"] else first["msg"].removeprefix("Value error, ")


def _with_field_names(value: object, *, are_names: bool = False) -> object:
    """Spell keys as fields do; the keys of ``models`` are names of models, and stay as they are."""
    if isinstance(value, dict):
        return {
            (key if are_names else key.replace("-", "_")): _with_field_names(inner, are_names=key == "models")
            for key, inner in value.items()
        }
    return [_with_field_names(each) for each in value] if isinstance(value, list) else value


def refuse_other_model(protocol: ReadProtocol, *, name: str, sha256: str) -> None:
    """Refuse a model that the protocol does not name; a protocol without models names all.

    Raises:
        AuditError: its checksum is not in the protocol.
    """
    models = protocol.content.models
    if models and sha256 not in models.values():
        listed = ", ".join(f"{known} ({digest[:12]}...)" for known, digest in models.items())
        raise AuditError(
            f"--protocol: the model {name} (SHA-256 {sha256}) is not in it; it names {listed}. Audit one of these, or "
            f"plan again with this model: `{PROTOCOL_COMMAND} --models ...`, before results of it are seen"
        )


# Writing ----------------------------------------------------------------------------------------------------------


def as_toml(protocol: Protocol) -> str:
    """Format a protocol as a TOML file with a comment for each field."""
    lines = [_HEAD, *_fields(protocol, exclude={"models", "questions", "monitoring"}), ""]
    lines += [*_comment(Protocol.model_fields["models"].description), "[models]"]
    lines += [f"{json.dumps(name)} = {json.dumps(digest)}" for name, digest in protocol.models.items()]
    if not protocol.models:
        lines.append('# A = "..."')
    for question in protocol.questions:
        lines += ["", *_comment(type(question).__doc__), "[[questions]]", f"kind = {json.dumps(question.kind)}"]
        lines += _fields(question, exclude={"kind", "size"})
        if question.size is not None:
            lines += ["[questions.size]", *_fields(question.size)]
    if protocol.monitoring is not None:
        lines += ["", *_comment(Protocol.model_fields["monitoring"].description), "[monitoring]"]
        lines += _fields(protocol.monitoring)
    return "\n".join(lines) + "\n"


def _fields(record: BaseModel, *, exclude: frozenset[str] | set[str] = frozenset()) -> Iterator[str]:
    values: Mapping[str, object] = record.model_dump(mode="json")
    for name, field in type(record).model_fields.items():
        if name not in exclude:
            yield from _comment(field.description)
            yield f"{flag_of(name)} = {json.dumps(values[name])}"


def _comment(text: str | None) -> list[str]:
    return [f"# {line}" for line in wrap(text or "", _WIDTH)]
