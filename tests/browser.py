"""A real browser without a display: Debian's chromium, there already or installed when we may.

Pages are opened from their files, by a browser that has a fresh profile each time.
"""

import re
import subprocess
from pathlib import Path

from tests.real_slurm.packages import install_packages, missing

PROGRAM = "chromium"
# what the page is asked for: how wide it is, how far it can be scrolled, how far its content reaches
MEASURE = """<script>addEventListener("load", () => {
  const ends = [...document.querySelectorAll("body *")].map((one) => one.getBoundingClientRect().right);
  parent.postMessage([innerWidth, document.documentElement.scrollWidth, Math.round(Math.max(...ends))].join(" "), "*");
});</script>"""
# a window is never narrower than 500 pixels, a frame in it is
FRAME = """<!DOCTYPE html><script>
addEventListener("message", (said) => {{ document.documentElement.dataset.measured = said.data; }});
</script><iframe src="{name}" width="{width}" height="800" style="border: 0"></iframe>"""
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


def install() -> None:
    """Install chromium where it is missing.

    Raises:
        RuntimeError: we are not root, or apt-get failed; says what to install.
    """
    if absent := missing([PROGRAM]):
        install_packages([PROGRAM], for_want_of=absent)


def screenshot(page: Path, picture: Path, width: int, height: int) -> list[str]:
    """Take a picture of a page; what the browser's console said."""
    done = _run(page, picture.parent / f"profile-{picture.stem}", width, height, f"--screenshot={picture}")
    return [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def widths(page: Path, scratch: Path, width: int) -> tuple[int, int, int]:
    """(of the page, of what can be scrolled to, of the element that reaches furthest) in CSS pixels, by a script.

    The script is put into a copy of the page, which loses its policy against scripts.
    """
    copy, frame = scratch / "measured.html", scratch / f"frame-{width}.html"
    copy.write_text(POLICY.sub("", page.read_text()).replace("</body>", f"{MEASURE}</body>"))
    frame.write_text(FRAME.format(name=copy.name, width=width))
    dom = _run(frame, scratch / f"profile-{width}", width + 100, 900, "--virtual-time-budget=5000", "--dump-dom").stdout
    found = re.search(r'data-measured="(\d+) (\d+) (\d+)"', dom)
    assert found, dom[:2000]
    return int(found[1]), int(found[2]), int(found[3])


def _run(page: Path, profile: Path, width: int, height: int, *what: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
               f"--user-data-dir={profile}", f"--window-size={width},{height}", *what, page.as_uri()]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
