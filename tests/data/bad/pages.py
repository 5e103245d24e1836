"""Pages without end, without order and with a way out; the text of each is found (`ok`)."""

from tests import made_documents as made

TEXT = made.PDF_LINE
MANY = 50_000


def remote(address: str) -> str:
    """A page that would have a browser fetch everything that it can from this address."""
    return (
        f'<base href="{address}/base/"><link rel=stylesheet href="{address}/c.css">'
        f'<script src="{address}/s.js"></script>'
        f'<meta http-equiv=refresh content="0;url={address}/r"><img src="x.png"><iframe src="{address}/i"></iframe>'
        f'<object data="{address}/o"></object><video src="{address}/v"></video><p>{TEXT}</p>'
    )


PAGES: dict[str, str] = {
    "good": f"<h1>Top</h1><p>{TEXT}</p>",
    "script": f"<script>alert('SCRIPTED')</script><style>p{{}} .STYLED{{}}</style><p onclick='CLICKED()'>{TEXT}</p>",
    "nested": "<div>" * 1_000_000 + TEXT,
    "bold": "<b>" * MANY + TEXT,
    "tables": "<table><tr><td>" * 10_000 + TEXT,
    "paragraphs": "<p>" * MANY + TEXT,
    "attributes": "<p " + " ".join(f"a{n}=1" for n in range(50_000)) + f">{TEXT}</p>",
    "comments": "<!--" * MANY + TEXT,
    "comment_at_end": f"<p>{TEXT}</p><!-- HIDDEN",
    "sections": "<![CDATA[" * MANY + TEXT,
    "torn_tags": "<a " * MANY + TEXT,
    "torn_quotes": '<a b="' * MANY + TEXT,
    "open_brackets": "<" * 20_000 + TEXT,
    "entities": f'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><p>&b;</p><p>{TEXT}</p>',
    "outside": f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><p>&a;</p><p>{TEXT}</p>',
    "out_of_order": f"</div><td><p><b>{TEXT}</i></table></p><li>",
    "utf7": f'<meta charset="utf-7"><p>+ADw-script+AD4-</p><p>{TEXT}</p>',
    "escapes": f'<meta charset="unicode_escape"><p>\\x41</p><p>{TEXT}</p>',
    "unknown": f'<meta charset="no-such"><p>{TEXT}</p>',
    "odd_references": f"<p>&#x110000;&#0;&#xD800;&#x202E;{TEXT}</p>",
    "remote": remote("http://127.0.0.1:9"),
    "picture": f'<p>{TEXT}</p><img src="data:image/png;base64,{"A" * 1_000_000}">',
}
