"""The report on runs: sections of text, figures and tables, as files."""
