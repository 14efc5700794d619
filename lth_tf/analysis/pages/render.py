"""Rendering: a report's sections as one HTML file with everything inside, and as Markdown."""

from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from lth_tf.analysis.pages.inline import inline_svg, scheme


class Drawn(NamedTuple):
    """The files of a figure."""

    png: Path
    svg: Path


def render(name: str, **content: Any) -> str:
    """Returns a report, an index or what a study found, as text.

    Args:
        name: the file that it is for, as templates are named: `report.html`, `report.md`,
            `index.html` or `study.md`.
        **content: what the template is about, drawn figures by name, and the command.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lth_tf.analysis.pages"),
        autoescape=lambda template: template is not None and ".html" in template,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["inline"] = _inline
    environment.filters["cell"] = _cell
    environment.filters["prose"] = _prose
    environment.globals["scheme"] = lambda dark: Markup(scheme(dark))
    return environment.get_template(f"{name}.jinja").render(content)


def _inline(svg: Path, described: str) -> Markup:
    """Returns a figure as a part of the page, so that the page needs no other file."""
    return Markup(inline_svg(svg, described))


def _cell(text: str) -> str:
    """Escapes what would end a cell of a Markdown table."""
    return _prose(text).replace("|", r"\|").replace("\n", " ")


def _prose(text: str) -> str:
    """Escapes what Markdown would take for emphasis, code or a tag, as names may hold it."""
    for sign in "\\`*_<>[]":
        text = text.replace(sign, f"\\{sign}")
    return text
