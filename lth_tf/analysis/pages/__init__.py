"""Pages: sections, tables and figures rendered as HTML and Markdown."""
