"""Mend what assistive technology cannot read: the role that docutils gives to references is deprecated in ARIA 1.2."""


def _mend(app, pagename, templatename, context, doctree):
    if body := context.get("body"):
        context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app):
    app.connect("html-page-context", _mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
