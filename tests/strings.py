"""Collect every string that a user can see: errors, hints, labels of steps, help texts, what is printed.

`{}` stands for what is filled in. What only looks like a sentence (a code's own words, an option) is left out.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from docker_nsenter.cli import folding, manual, options, suggestions

TOP = Path(__file__).resolve().parents[1]
PLUGIN = TOP / "plugin/docker_nsenter"
ERRORS = ("CliError", "EntryError", "EntryError", "CliError", "Silent", "usage")
ROOMS = ("formatting", "commands", "planning", "engine", "routes")  # whose texts are printed or become errors
String = tuple[str, str, str]  # kind, place, text


def text_of(node: "ast.AST | None") -> str:
    """Write a constant or a format string as it will be read."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left) + text_of(node.right)
    return ""


def raised() -> Iterator[String]:
    """Yield the sentences and hints of errors."""
    for path in sorted(PLUGIN.rglob("*.py")):
        place = str(path.relative_to(PLUGIN))
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if name in ERRORS:
                assert isinstance(node, ast.Call)
                for kind, each in zip(("error", "hint"), node.args, strict=False):
                    parts = [each.body, each.orelse] if isinstance(each, ast.IfExp) else [each]
                    yield from ((kind, f"{place}:{node.lineno}", text_of(part)) for part in parts)
    for takes, sentence, right in suggestions.STRANGERS.values():
        del takes
        yield from (("error", "cli/suggestions.py", sentence), ("hint", "cli/suggestions.py", right))


def labels() -> Iterator[String]:
    """Yield the labels of steps, which --dry-run, -D and errors show."""
    for node in ast.walk(ast.parse((PLUGIN / "enter/steps.py").read_text())):
        if isinstance(node, ast.Tuple) and node.elts and " " in text_of(node.elts[0]):
            yield "label", f"enter/steps.py:{node.lineno}", text_of(node.elts[0])


def helped() -> Iterator[String]:
    """Yield the texts of the help and of the man page."""
    for panel, rows in manual.PANELS:
        yield "help", "cli/options.py", panel
        for words, _, both in rows:
            yield from (("help", "cli/options.py", text) for _, text in folding.folded(words, both))
    tables = (options.USUAL, options.EXAMPLES, options.TOOLS, options.VARIABLES, options.FILES, options.STATUSES)
    yield from (("help", "cli/options.py", text) for table in tables for _, text in table)
    yield from (("help", "cli/options.py", text) for text in (*options.SUMMARY, options.MORE))


def printed() -> Iterator[String]:
    """Yield other texts with a blank in them that stage 1 holds: cells of tables, notes, progress."""
    for path in (each for room in ROOMS for each in sorted((PLUGIN / room).rglob("*.py"))):
        tree = ast.parse(path.read_text())
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        docs |= {
            id(part)
            for node in ast.walk(tree)
            for note in (getattr(node, "annotation", None), getattr(node, "returns", None))
            if note
            for part in ast.walk(note)
        }
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = text_of(node) if isinstance(node, ast.Constant | ast.JoinedStr) else ""
            if (
                id(node) not in docs
                and id(node) not in inner
                and " " in text.strip()
                and text.isprintable()
                and "; " not in text
            ):
                yield "printed", f"{path.relative_to(PLUGIN)}:{node.lineno}", text  # type: ignore[attr-defined]


def everything() -> list[String]:
    """List all of it, each text once."""
    found: dict[str, String] = {}
    for kind, place, text in (*raised(), *labels(), *helped(), *printed()):
        if text.strip("{} "):
            found.setdefault(text, (kind, place, text))
    return list(found.values())


if __name__ == "__main__":
    sys.stdout.writelines(f"{kind:8}{place:45}{text}\n" for kind, place, text in everything())
