"""``report.html``: the whole report as one page that opens from disk and fetches nothing.

A section is a module with one function, ``section(report) -> Section | None`` (None: there is nothing to show). It computes small
values, ``blocks``, and knows nothing of HTML; ``page`` draws them with one template. To add one: write the module, and name it in
``page.SECTIONS`` where it should stand. A block that is not there yet (``blocks``) gets a macro of its kind in
``templates/blocks.html``. Charts are Vega-Altair's, made with the few helpers in ``charts``; every one carries a caption, a text
that says what it shows, and the table of its numbers.
"""
