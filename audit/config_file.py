"""Configuration from a file, from ``--set`` and from flags, put together; and the file with the defaults.

A layer holds the values of one source by their path in :class:`RunConfig`, each already of its field's type. A later
layer wins over an earlier one, value by value.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from audit.configuration import ALL, SECTIONS, RunConfig, describe_error, flag_of
from pipelines.errors import AuditError
from reports.run_record import RunRecord

__all__ = ["Layer", "NotGivenError", "built", "file_layer", "flag_layer", "of_methods", "set_layer", "template"]

KeyPath = tuple[str, ...]
Layer = dict[KeyPath, object]
Config = TypeVar("Config", bound=BaseModel)

_NUMBERS = ("method", "hyperparameters")


class NotGivenError(AuditError):
    """A setting that is needed is neither a flag nor in a file."""


_SYNONYMS = {"methods": "method"}


def _fields(model: type[BaseModel], path: KeyPath) -> Iterator[tuple[KeyPath, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, (*path, name))
        elif (*path, name) != _NUMBERS:
            yield (*path, name), field


_FIELDS = dict(_fields(RunConfig, ()))
_BY_FLAG = {path[-1]: path for path in _FIELDS if len(path) == 2}


def _key(path: KeyPath) -> str:
    """Spell a path as it is typed: ``inputs.dicom-dir``, ``m2ib.image_layer``."""
    return ".".join(path[2:] if path[:2] == _NUMBERS else map(flag_of, path))


def _field_name(key: str) -> str:
    name = key.replace("-", "_")
    return _SYNONYMS.get(name, name)


# Layers ---------------------------------------------------------------------------------------------------------


def file_layer(path: Path) -> Layer:
    """Read a TOML file, or the settings in ``run.json`` of an earlier run.

    Relative paths in the file refer to its own folder.

    Raises:
        AuditError: the file cannot be read, or a key is unknown or its value does not fit; the message names both.
    """
    try:
        if path.suffix == ".json":
            return _layer(_of_run(path), path)
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise AuditError(f"--config {path}: cannot be read ({reason})") from error
    except tomllib.TOMLDecodeError as error:
        raise AuditError(f"--config {path}: is not valid TOML ({error})") from error
    return _layer(content, path)


def _of_run(path: Path) -> Mapping[str, Any]:
    """Return the settings of an earlier run; for version 0.1.0, which stored no configuration, from its record."""
    try:
        run = RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise AuditError(f"--config {path}: is not a run.json of m2ib-audit ({describe_error(error)})") from error
    if run.config:
        return run.config
    numbers = {
        method: {name: value for name, value in given.items() if name != "precision" and value is not None}
        for method, given in run.method_settings.items()
    }
    recorded = {name: run.settings[name] for name in ("fit", "precision") if name in run.settings}
    methods = list(dict.fromkeys([run.method, *run.method_settings]))
    return {"model": recorded, "method": {"method": methods, "seed": run.seed, "hyperparameters": numbers}}


def _layer(content: Mapping[str, Any], file: Path) -> Layer:
    layer: Layer = {}
    for place, value in _flat(content):
        path = _path_of(place, source=f"--config {file}: {'.'.join(place)}")
        if path in layer:
            raise AuditError(f"--config {file}: {_key(path)} is given twice")
        layer[path] = _read(path, value, source=f"--config {file}: {_key(path)}", folder=file.parent)
    return layer


def _flat(content: Mapping[str, Any], place: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, (*place, key))
        else:
            yield (*place, key), value


def set_layer(texts: Sequence[str], *, reads: Sequence[str]) -> Layer:
    """Read what ``--set`` was given, each KEY=VALUE with a key of the file.

    Args:
        texts: as they were typed.
        reads: sections and keys that the command reads; others would change nothing.

    Raises:
        AuditError: another form, an unknown key, a value that does not fit, or a key given twice.
    """
    layer: Layer = {}
    for text in texts:
        key, separator, value = text.partition("=")
        place = tuple(key.strip().split("."))
        if not separator or len(place) < 2:
            raise AuditError(f"--set {text}: give KEY=VALUE, for example m2ib.beta=0.5 or execution.workers=4")
        path = _path_of(place, source=f"--set {text}")
        if path in layer:
            raise AuditError(f"--set {text}: {_key(path)} is given twice")
        if not any(f"{'.'.join(path)}.".startswith(f"{prefix}.") for prefix in reads):
            raise AuditError(f"--set {text}: this command does not read {_key(path)}")
        layer[path] = _read(path, value.strip(), source=f"--set {text}")
    return layer


def flag_layer(flags: Mapping[str, object]) -> Layer:
    """Return the given flags by the names of their fields.

    Raises:
        AuditError: a value does not fit its field.
    """
    given = {_BY_FLAG[name]: value for name, value in flags.items() if value is not None and value != []}
    return {path: _read(path, value, source=f"--{flag_of(path[-1])}") for path, value in given.items()}


def of_methods(layer: Layer, whole: Mapping[KeyPath, object]) -> Layer:
    """Leave out what a file says of methods that are not chosen: it may serve several commands."""
    chosen = whole.get(("method", "method"), ("m2ib",))
    names = chosen if isinstance(chosen, tuple) else ()
    return {
        path: value for path, value in layer.items() if path[:2] != _NUMBERS or ALL in names or path[2] in (ALL, *names)
    }


def built(config: type[Config], *layers: Layer, others: Mapping[str, object] | None = None) -> Config:
    """Build a configuration from layers, the last of which wins.

    Args:
        config: its model; sections that it does not have are passed over.
        layers: from the weakest to the strongest.
        others: fields that are of no section.

    Raises:
        NotGivenError: a value that is needed is in none of the layers.
        AuditError: a value does not fit.
    """
    nested: dict[str, Any] = {name: value for name, value in (others or {}).items() if value is not None}
    for path, value in {key: value for layer in layers for key, value in layer.items()}.items():
        whole = config.model_fields.get(path[0])
        if whole is not None and _has(whole.annotation, path[1]):
            inner = nested
            for part in path[:-1]:
                inner = inner.setdefault(part, {})
            inner[path[-1]] = value
    for section, field in config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            nested.setdefault(section, {})
    try:
        return config.model_validate(nested)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] != "missing":
            raise AuditError(describe_error(error)) from error
        section, name = (str(part) for part in first["loc"][-2:])
        raise NotGivenError(
            f"--{flag_of(name)} is not given: give it, or {flag_of(name)} under [{section}] in the file of --config"
        ) from error


def _has(section: object, name: str) -> bool:
    """Return True if a section, also an optional one, has a field."""
    models = [section, *get_args(section)]
    return any(isinstance(each, type) and issubclass(each, BaseModel) and name in each.model_fields for each in models)


def _path_of(place: KeyPath, *, source: str) -> KeyPath:
    """Find the field of a key: within its section, at the top level of a file, or a hyperparameter of a method.

    Raises:
        AuditError: there is none.
    """
    names = tuple(map(_field_name, place))
    if names in _FIELDS:
        return names
    if len(place) == 1 and names[0] in _BY_FLAG:
        return _BY_FLAG[names[0]]
    if names[:2] == _NUMBERS and len(place) == 4:
        return (*_NUMBERS, *place[2:])
    if len(place) == 2 and names[0] not in SECTIONS:
        return (*_NUMBERS, *place)
    in_section = [_key(path) for path in _FIELDS if path[0] == names[0]] or [_key(path) for path in _FIELDS]
    moved = _BY_FLAG.get(names[-1])
    near = [_key(moved)] if moved else get_close_matches(".".join(map(flag_of, names)), in_section, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(in_section)}"
    raise AuditError(f"{source}: unknown key; {advice}")


def _read(path: KeyPath, value: object, *, source: str, folder: Path | None = None) -> object:
    """Read a value as its field's type: of a file strictly, of a text of the command line by what it says."""
    if path[:2] == _NUMBERS:
        from audit.attribution.methods import read_number  # noqa: PLC0415 - torch, and only where one is given

        return read_number(path[2], path[3], value, source=source)
    field = _FIELDS[path]
    annotated: Any = Annotated[(field.annotation, field, *field.metadata)]
    adapter: TypeAdapter[Any] = TypeAdapter(annotated)
    try:
        read = adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise AuditError(f"{source}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {value!r}") from error
    except AuditError as error:
        raise AuditError(f"{source}: {error}") from error
    if folder is None:
        return read
    if isinstance(read, bool) is not isinstance(value, bool) or (
        isinstance(value, str) and isinstance(read, int | float)
    ):
        wanted = "true or false" if isinstance(read, bool) else "a number"
        raise AuditError(f"{source}: input should be {wanted}, not {value!r}")
    return _from_folder(path, read, folder)


def _from_folder(path: KeyPath, value: object, folder: Path) -> object:
    if isinstance(value, tuple):
        return tuple(_from_folder(path, each, folder) for each in value)
    if path == ("model", "model") and isinstance(value, str) and value.startswith("."):
        return str(folder / value)
    return folder / value if isinstance(value, Path) else value


# The file with the defaults --------------------------------------------------------------------------------------

_HEAD = """\
# Configuration of m2ib-audit: `m2ib-audit run --config FILE`; `check`, `compare`, `sanity` and `evaluate` take it too.
# Keys have the names of the flags; a flag or --set KEY=VALUE wins over the file. Relative paths refer to this file's
# folder. Values are the defaults; a commented line has none, or one that depends on the model or the command.
"""
_NUMBERS_HEAD = """\
# Hyperparameters of the methods. Defaults are those of the model's folder, otherwise as published. Values under [all]
# apply to every chosen method that has them.
"""
_WIDTH = 117


def template() -> str:
    """Write a commented TOML file with the defaults."""
    from audit.attribution.methods import METHODS  # noqa: PLC0415 - torch, for this alone

    lines = [_HEAD]
    for section, model in SECTIONS.items():
        lines += _section((section,), model)
    lines.append(_NUMBERS_HEAD)
    for name, make in METHODS.items():
        numbers = make().numbers
        if numbers:
            lines += [f"# [{name}]", *(f"# {number} =" for number in numbers), ""]
    return "\n".join(lines)


def _section(path: KeyPath, model: type[BaseModel]) -> list[str]:
    lines, tables = [f"[{'.'.join(map(flag_of, path))}]"], []
    for name, field in model.model_fields.items():
        inner = (*path, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            tables += ["", *_section(inner, field.annotation)[:-1]]
        elif inner in _FIELDS:
            lines += [f"# {line}" for line in wrap(field.description or "", _WIDTH)]
            value = field.get_default()
            unset = value is None or field.is_required()
            lines.append(f"# {flag_of(name)} =" if unset else f"{flag_of(name)} = {_toml(value)}")
    return [*lines, *tables, ""]


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value)
