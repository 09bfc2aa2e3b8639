"""The look of a report: one column on a phone, cards on a desk, black on white in print, dark where the reader likes it dark."""

STYLE = """
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#1c1b1a;--soft:#6b6762;--line:#e4e0da;--accent:#0b6e99;--second:#d98a2b;
--bad:#b3261e;--badpaper:#fdf0ee;--c0:#0b6e99;--c1:#d1741f;--c2:#3c8d40;--c3:#a5478f;--c4:#7a6a00}
@media (prefers-color-scheme:dark){:root{--paper:#161718;--card:#1f2123;--ink:#ece9e4;--soft:#a5a09a;--line:#36383b;--accent:#5db7e0;
--second:#e9a95a;--bad:#f2867d;--badpaper:#33201f;--c0:#5db7e0;--c1:#f0a060;--c2:#7cc77f;--c3:#da8fc8;--c4:#d3c04f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:68rem;margin:0 auto;padding:1.5rem 1rem 3rem}
header h1{font-size:1.7rem;line-height:1.2;margin:0 0 .4rem;letter-spacing:-.01em;overflow-wrap:anywhere}
header p{margin:.2rem 0;color:var(--soft);max-width:46rem}
header p.lead{color:var(--ink);font-size:1.1rem}
nav{margin:1rem 0 0;font-size:.9rem;display:flex;flex-wrap:wrap;gap:.2rem 1rem}
a{color:var(--accent)}
section{margin-top:2.2rem}
section>h3{margin-top:1.4rem}
h2{font-size:1.2rem;margin:0 0 .3rem}
h3{font-size:.95rem;margin:0 0 .3rem;overflow-wrap:anywhere}
section>p,figcaption,.note{color:var(--soft);font-size:.92rem;max-width:46rem;margin:.2rem 0 .8rem}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:1rem}
.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem .9rem;margin:0;min-width:0}
.card p{margin:.3rem 0 0;font-size:.88rem;color:var(--soft)}
.warn{border-color:var(--bad);background:var(--badpaper)}
.warn ul{margin:.2rem 0 0;padding-left:1.2rem}
.warn li{margin:.25rem 0;overflow-wrap:anywhere}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
.scroll td,.scroll th{overflow-wrap:break-word}
table{border-collapse:collapse;font-size:.92rem;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td,th{overflow-wrap:anywhere}
thead th{color:var(--soft);font-weight:500;white-space:nowrap;overflow-wrap:normal}
tr:last-child>*{border-bottom:0}
.n{text-align:right;white-space:nowrap;overflow-wrap:normal}
.ours{font-weight:600}
.best{color:var(--accent)}
.bars td{padding:.22rem .6rem .22rem 0}
.bars td:nth-child(2){width:52%}
.bars svg{display:block;width:100%;height:.8rem}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.88rem;color:var(--soft);margin:0 0 .8rem}
.key span{white-space:nowrap}
.key i{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin-right:.35rem;vertical-align:-.08rem}
svg.chart{display:block;width:100%;height:auto;max-width:30rem;overflow:visible}
svg text{fill:var(--soft);font:11px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
svg text.ink{fill:var(--ink)}
svg .axis{stroke:var(--line);stroke-width:1;fill:none}
svg .zero{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3;fill:none}
dl{display:grid;grid-template-columns:minmax(7rem,auto) 1fr;gap:.25rem 1rem;margin:0;font-size:.92rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
footer{margin-top:2.5rem;color:var(--soft);font-size:.85rem}
@media (max-width:30rem){main{padding:1rem .8rem 2rem}header h1{font-size:1.4rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.4rem}}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;
--accent:#0b5f85;--second:#b86e14;--bad:#8c1d18;
--badpaper:#fff;--c0:#0b5f85;--c1:#b3611a;--c2:#2e7332;--c3:#8a3a78;--c4:#665900}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{font-size:10pt}main{max-width:none;padding:0}nav{display:none}
.card,figure,tr,li,p{break-inside:avoid}h2,h3,section>p{break-after:avoid}section{margin-top:1.2rem}
.grid{grid-template-columns:repeat(3,1fr);gap:.5rem}.wide{grid-template-columns:repeat(2,1fr)}.scroll{overflow:visible}}
"""
