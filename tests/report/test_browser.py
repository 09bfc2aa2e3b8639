"""The page in a real browser: drawn, within the width of a phone, dark where asked, printed; no request leaves it."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from netloom.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")]


@pytest.fixture
def browse(tmp_path):
    def run(*options):
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)

    return run


@pytest.fixture(params=["regression", "classification"])
def page(request, make_network, tmp_path):
    network, table = make_network(request.param)
    path = tmp_path / "report.html"
    write_report(replace(network, metrics={}), path, table, data_name="new.csv")
    return path


def pixels(path):
    image = pytest.importorskip("PIL.Image")
    return np.asarray(image.open(path).convert("RGB")).astype(int)


def framed(page, width, tmp_path):
    """A page that shows the report as wide as a phone: windows of a headless browser are wider."""
    outer = tmp_path / "phone.html"
    outer.write_text(
        f"<body style='margin:0;background:#0f0'><iframe src='{page.as_uri()}' style='border:0;width:{width}px;height:4000px'></iframe>"
    )
    return outer


@pytest.mark.parametrize("width", [390, 1200])
def test_a_screenshot_shows_ink_in_colour(page, browse, tmp_path, width):
    shown = framed(page, width, tmp_path) if width < 500 else page
    browse(f"--window-size={max(width, 500)},4000", "--hide-scrollbars", f"--screenshot={tmp_path / 's.png'}", shown.as_uri())
    image = pixels(tmp_path / "s.png")[:, :width]
    assert image.shape[0] == 4000
    rows_with_ink = (np.ptp(image.sum(axis=2), axis=1) > 100).mean()
    coloured = (np.ptp(image, axis=2) > 60).mean()
    assert rows_with_ink > 0.35 and 0.001 < coloured < 0.3  # lines and bars, but mostly paper


def test_nothing_is_wider_than_a_phone(page, browse, tmp_path):
    probe = tmp_path / "probe.html"
    probe.write_text(
        f"<iframe id=f src='{page.as_uri()}' style='width:390px;height:800px'></iframe><script>onload=()=>{{const d=f.contentDocument;"
        "document.title=d.documentElement.scrollWidth;document.body.append('width:'+d.documentElement.scrollWidth+';')}</script>"
    )
    dom = browse("--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom", probe.as_uri()).stdout
    assert int(dom.split("width:")[-1].split(";")[0]) <= 390


def test_dark_is_dark(page, browse, tmp_path):
    shades = []
    for scheme in (0, 1):  # dark, light
        options = (f"--blink-settings=preferredColorScheme={scheme}", "--window-size=900,900", f"--screenshot={tmp_path / 's.png'}")
        browse(*options, page.as_uri())
        shades.append(np.median(pixels(tmp_path / "s.png")))
    assert shades[0] < 60 and shades[1] > 220


def test_it_prints(page, browse, tmp_path):
    browse(f"--print-to-pdf={tmp_path / 'r.pdf'}", page.as_uri())
    data = (tmp_path / "r.pdf").read_bytes()
    assert data.startswith(b"%PDF") and 2 <= data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") + data.count(b"/Type /Page/") <= 20
