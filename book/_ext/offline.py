"""Keep the built pages free of scripts that ask other hosts.

Jupyter Book adds the launcher of thebe to every page, twice, even where thebe is switched off; the second copy is a
console error. Nothing in this book uses it: interactive elements are precomputed.
"""


def _drop_thebe(app, pagename, templatename, context, doctree):
    context["script_files"] = [script for script in context.get("script_files", []) if "thebe" not in _text(script)]


def _text(script) -> str:
    attributes = getattr(script, "attributes", {})
    return f"{getattr(script, 'filename', script)} {attributes.get('body', '')}".lower()


def setup(app):
    app.connect("html-page-context", _drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
