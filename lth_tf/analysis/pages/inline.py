"""Inlining: a figure as part of a page, in the page's font and its light or dark colours."""

import re
from pathlib import Path
from xml.etree import ElementTree

from lth_tf.analysis.figures import canvas

_REFERENCE = re.compile(r"^#(.+)$|(?<=url\()#([^)]+)")


def inline_svg(svg: Path, described: str) -> str:
    """Returns a figure's SVG as an element of an HTML page.

    Its colours become the page's variables, which `scheme` names; its identifiers, which must
    differ from those of the page's other figures, begin with the file's name.

    Args:
        svg: the file, as `canvas.write_figure` writes it.
        described: what it shows, for those who cannot see it.
    """
    root = ElementTree.parse(svg).getroot()
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    elements = list(root.iter())
    values = [value for element in elements for value in element.attrib.values()]
    used = {found[1] or found[2] for value in values for found in _REFERENCE.finditer(value)}
    prefix = re.sub(r"[^\w-]", "_", svg.stem)
    for element in elements:
        element.tag = _plain(element.tag)
        fields = {_plain(name): value for name, value in element.attrib.items()}
        name = fields.pop("id", None)
        element.attrib = {
            key: _REFERENCE.sub(lambda found: f"#{prefix}-{found[1] or found[2]}", value)
            for key, value in fields.items()
        }
        if name in used:
            element.set("id", f"{prefix}-{name}")
        if "style" in fields:
            element.set("style", _styled(element.get("style")))
    root.attrib = {"viewBox": root.get("viewBox"), "role": "img", "aria-label": described}
    return ElementTree.tostring(root, encoding="unicode")


def scheme(dark: bool) -> str:
    """Returns the CSS variables of all colours of figures, in a light or a dark scheme."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in canvas.SCHEME.items())


def _plain(name: str) -> str:
    """Returns a name without its namespace, as HTML has it."""
    return name.rpartition("}")[2]


def _styled(style: str) -> str:
    style = re.sub(r" ?font-family: [^;]+;?", "", style)
    for variable, (light, _) in canvas.SCHEME.items():
        style = style.replace(f": {light}", f": var(--{variable})")
    return style
