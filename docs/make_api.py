"""Writes docs/api.md from the docstrings of the public API: python docs/make_api.py."""

import dataclasses
import inspect
import re
from pathlib import Path

import docstring_parser

import lth_tf

HEAD = """\
# API

Everything that `import lth_tf` offers, from its docstrings; `python docs/make_api.py` makes it.

"""


def main() -> None:
    """Writes the page."""
    (Path(__file__).parent / "api.md").write_text(page(), encoding="utf-8")


def page() -> str:
    """Returns the page's text."""
    parts = [
        _entry(name, getattr(lth_tf, name), "##") for name in sorted(lth_tf.__all__, key=str.lower)
    ]
    return HEAD + "\n".join(parts)


def _entry(name: str, thing: object, level: str) -> str:
    lines = [f"{level} {name}", "", "```python", f"{name}{_signature(thing)}", "```", ""]
    lines += _text(thing)
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            function = getattr(value, "__func__", value)
            documented = inspect.isfunction(function) or isinstance(value, property)
            if documented and not member.startswith("_"):
                lines.append(_entry(f"{name}.{member}", function, "###"))
    return "\n".join(lines)


def _signature(thing: object) -> str:
    if isinstance(thing, property) or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return ""
    text = re.sub(r"<[^<>]*(<lambda>[^<>]*)?>", "...", str(inspect.signature(thing)))
    text = re.sub(r"\b(?:[a-z_]\w*\.)+(\w+)", r"\1", text)  # modules' names say nothing here
    text = re.sub(r"(-> |: |\[\], )'([^']*)'", r"\1\2", text)
    return re.sub(r"\((self|cls)(, )?", "(", text)


def _text(thing: object) -> list[str]:
    parsed = docstring_parser.parse(
        inspect.getdoc(thing) or "", docstring_parser.DocstringStyle.GOOGLE
    )
    paragraphs = [parsed.short_description, parsed.long_description]
    lines = [line for text in paragraphs if text for line in (text, "")]
    fields = [(item.arg_name, item.description) for item in parsed.params]
    if dataclasses.is_dataclass(thing):
        found = [(field.name, field.metadata.get("help")) for field in dataclasses.fields(thing)]
        fields += [(name, text) for name, text in found if text]
    lines += [f"- **{name}**: {_one_line(text)}" for name, text in fields]
    lines += [""] if fields else []
    if parsed.returns:
        lines += [f"Returns: {_one_line(parsed.returns.description)}", ""]
    for item in parsed.raises:
        lines += [f"Raises `{item.type_name}`: {_one_line(item.description)}", ""]
    return lines


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    main()
