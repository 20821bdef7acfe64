"""Reports for people: an evaluation's data and pictures -> one HTML page that needs nothing else.

```
evaluation/points.py, curves.py ─┬─ charts.py ─ figures.py ─ SVG ─┐
pictures/ ───────────────────────┼────────────────────────────────┼─ page.py ─ evaluation.html.j2 ─┐
graphs of bundles, SVG ──────────┘                                │                                ├─ report.html
                                       colours.py, base.css ─ base.html.j2 ─ templates.py ──────────┘
                                                                  └─ elic_export's parity.html.j2 ─ parity.html
```
Pages are one family: `base.html.j2` holds the verdict on top, the style, and the switch between light and dark.
"""
