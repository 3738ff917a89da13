"""Write what must be there without typer's import, from the typer app: the parser's table, the manual's, the man page.

scripts/generate-grammar runs it; tests hold the three files current.
"""

import json
from pathlib import Path
from typing import Any

from . import options
from .folding import ALIASES, ALIASES_ARE, folded

HEAD = '"""Generated from cli/options.py by scripts/generate-grammar; a test holds it current."""\n\n'
PACKAGE = Path(__file__).parent
TOP = PACKAGE.parents[2]
PAGE = TOP / "docs/docker-nsenter.1"


def grammar() -> str:
    """Write grammar.py; raise for an option that the plain parser's table can't express."""
    flags: dict[str, tuple[str, bool]] = {}
    values: dict[str, tuple[str, bool]] = {}
    defaults: dict[str, Any] = {}
    for parameter in _options():
        if parameter.name in ("help", "version"):
            continue
        if parameter.nargs != 1 or parameter.envvar or parameter.callback or getattr(parameter, "count", False):
            raise ValueError(f"the table can't express {parameter.name}")
        if parameter.is_flag:
            flags.update(dict.fromkeys(parameter.opts, (parameter.name, True)))
            flags.update(dict.fromkeys(parameter.secondary_opts, (parameter.name, False)))
        else:
            values.update(dict.fromkeys(parameter.opts, (parameter.name, parameter.multiple)))
        default = parameter.default() if callable(parameter.default) else parameter.default
        defaults[parameter.name] = list(default or []) if not parameter.is_flag and parameter.multiple else default
    parts = [
        _table("FLAGS", "dict[str, tuple[str, bool]]", flags),
        _table("VALUES", "dict[str, tuple[str, bool]]", values),
        _table("DEFAULTS", "dict[str, bool | str | list[str] | None]", defaults),
    ]
    return HEAD + "".join(parts)


def manual() -> str:
    """Write manual.py: the help's texts, one row an option, in the order of the panels."""
    panels = []
    for panel in options.PANELS:
        inside = [each for each in _options() if each.rich_help_panel == panel]
        panels.append((panel, [(_words(each), each.metavar or "", each.help) for each in inside]))
    if sum(len(rows) for _, rows in panels) != len(_options()):
        raise ValueError("an option stands in no panel")
    shown = "".join(
        f"    ({_quoted(panel)}, [\n" + "".join(f"        {_quoted(row)},\n" for row in rows) + "    ]),\n"
        for panel, rows in panels
    )
    parts = [
        "# fmt: off\n",
        f"USAGE = {_quoted(options.USAGE)}\n",
        _list("SUMMARY", "str", options.SUMMARY),
        f"VERSION = {_quoted(version())}\n",
        _list("USUAL", "tuple[str, str]", options.USUAL),
        _list("EXAMPLES", "tuple[str, str]", options.EXAMPLES),
        f"MORE = {_quoted(options.MORE)}\n",
        _list("STATUSES", "tuple[str, str]", options.STATUSES),
        "# (panel, its options: spellings with the letters first, placeholder of the value, text)\n",
        f"PANELS: list[tuple[str, list[tuple[tuple[str, ...], str, str]]]] = [\n{shown}]\n",
    ]
    return HEAD + "".join(parts)


def man() -> str:
    """Write the man page docker-nsenter(1): the help's texts, and what a page has room for (man(7))."""
    lines = [
        '.\\" Generated from cli/options.py by scripts/generate-grammar; a test holds it current.',
        f'.TH DOCKER-NSENTER 1 "{options.DATE}" "docker nsenter {version()}" "Docker"',
        ".SH NAME",
        "docker-nsenter \\- debug a running container with your own tools, under its own restrictions",
        ".SH SYNOPSIS",
        f".B {_roff(options.USAGE)}",
        ".SH DESCRIPTION",
        *[line for text in options.SUMMARY for line in (_roff(text), ".PP")][:-1],
        ".SH OPTIONS",
    ]
    for panel in options.PANELS:
        lines.append(f'.SS "{_roff(panel)}"')
        for parameter in _options():
            if parameter.rich_help_panel == panel:
                value = rf" \fI{_roff(parameter.metavar)}\fR" if parameter.metavar else ""
                for spelled, text in folded(_words(parameter), parameter.help):
                    words = ", ".join(rf"\fB{_roff(word)}\fR" for word in spelled)
                    lines += [".TP", words + value, _roff(text) + "."]
        if panel == options.SPACES:
            lines += [".TP", ", ".join(rf"\fB{_roff(word)}\fR" for word in ALIASES), _roff(ALIASES_ARE) + "."]
    lines.append(".SH EXAMPLES")
    for line, sense in (*options.EXAMPLES, *options.TOOLS):
        lines += [".TP", rf"\fB{_roff(line)}\fR", _roff(sense[:1].upper() + sense[1:]) + "."]
    for title, rows in (
        ("EXIT STATUS", options.STATUSES),
        ("ENVIRONMENT", options.VARIABLES),
        ("FILES", options.FILES),
    ):
        lines.append(f'.SH "{title}"')
        for name, sense in rows:
            lines += [".TP", rf"\fB{_roff(name)}\fR", _roff(sense[:1].upper() + sense[1:]) + "."]
    lines += [".SH SEE ALSO", ", ".join(rf"\fB{name}\fR({section})" for name, section in options.SEE_ALSO)]
    return "\n".join(lines) + "\n"


def version() -> str:
    """Read the one place that says the version."""
    return str(json.loads((TOP / "docker-cli-plugin-metadata").read_text())["Version"])


def _roff(text: str) -> str:
    """Keep a text as it is in roff: hyphens to paste, no line that reads as a request."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return "\\&" + plain if plain.startswith((".", "'")) else plain


def _options() -> list[Any]:
    return [parameter for parameter in options.build().params if parameter.param_type_name != "argument"]


def _words(parameter: Any) -> tuple[str, ...]:
    """List an option's spellings, letters first."""
    words = [*parameter.opts, *parameter.secondary_opts]
    return tuple(sorted(words, key=lambda word: word.startswith("--")))


def _table(name: str, kind: str, rows: dict[str, Any]) -> str:
    text = "".join(f"    {_quoted(key)}: {_quoted(value)},\n" for key, value in rows.items())
    return f"{name}: {kind} = {{\n{text}}}\n"


def _list(name: str, kind: str, rows: "Any") -> str:
    text = "".join(f"    {_quoted(row)},\n" for row in rows)
    return f"{name}: list[{kind}] = [\n{text}]\n"


def _quoted(value: Any) -> str:
    """Write a value as ruff would: double quotes."""
    if isinstance(value, tuple):
        inside = ", ".join(_quoted(each) for each in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, str) and '"' not in value:
        return '"' + repr(value + '"')[1:-2].replace("\\'", "'") + '"'
    return repr(value)


def write() -> None:
    """Write all of it into its places."""
    (PACKAGE / "grammar.py").write_text(grammar())
    (PACKAGE / "manual.py").write_text(manual())
    PAGE.write_text(man())


if __name__ == "__main__":
    write()
