"""The style of a report: one block of CSS, light and dark."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#1d2129;--soft:#5d6675;--line:#e3e1dc;
--before:#b9c3d3;--now:#c2410c;--good:#15703d;--good-bg:#e2f4e8;--warn:#8a5300;--warn-bg:#fdf0d5;--bad:#b01e1e;
--bad-bg:#fde5e3;--quiet:#5d6675;--quiet-bg:#eceae6}
@media(prefers-color-scheme:dark){:root{--paper:#14171c;--card:#1c2027;--ink:#e8eaee;--soft:#9aa4b2;--line:#2e343e;
--before:#4a566a;--now:#fb923c;--good:#7ee2a4;--good-bg:#12351f;--warn:#fbc76a;--warn-bg:#3b2a0a;--bad:#ff9c94;
--bad-bg:#451613;--quiet:#a6afbc;--quiet-bg:#2a303a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0;display:flex;gap:12px;align-items:center}h2{font-size:17px;margin:0 0 8px}
header p{margin:4px 0 20px;color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin:0 0 16px}
section>p{margin:0 0 10px;color:var(--soft);max-width:80ch}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px}
.tiles b{display:block;font-size:22px;line-height:1.2;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:13px}
.badge{display:inline-block;font-size:12px;font-weight:600;line-height:1;padding:4px 8px;border-radius:999px;
white-space:nowrap;letter-spacing:.01em}
.good{color:var(--good);background:var(--good-bg)}.warn{color:var(--warn);background:var(--warn-bg)}
.bad{color:var(--bad);background:var(--bad-bg)}.quiet{color:var(--quiet);background:var(--quiet-bg)}
ul.plain{list-style:none;margin:0;padding:0}ul.plain li{padding:7px 0;border-top:1px solid var(--line)}
ul.plain li:first-child{border-top:0}small{color:var(--soft)}
.lost{color:var(--bad)!important;margin-top:10px!important}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:16px}
figure{margin:0;min-width:0}figcaption{font-weight:600;display:flex;gap:8px;align-items:center;margin-bottom:4px}
figure p{margin:2px 0 0;color:var(--soft);font-size:13px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:10px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--line)}rect.before{fill:var(--before)}
polyline.now,rect.now{fill:none;stroke:var(--now);stroke-width:1.8;stroke-linejoin:round}
.dot{fill:var(--now)}.level{stroke:var(--soft);stroke-dasharray:4 3}
.legend{font-size:13px}.key{display:inline-block;width:14px;height:10px;margin:0 5px 0 10px;border-radius:2px}
.key.before{background:var(--before);margin-left:0}.key.now{border:2px solid var(--now)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:6px 10px;border-top:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-size:13px;font-weight:500;border-top:0}.n{text-align:right}
summary{cursor:pointer;color:var(--soft);margin:12px 0 6px}
@media print{section{break-inside:avoid}}
"""
