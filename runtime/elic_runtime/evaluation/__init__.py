"""Evaluation: photographs and bundles -> points of rate and distortion, curves, and a report page.

```
photographs ─ measuring.py ─┬─ points.py ─ results.jsonl ─ curves.py ─┐
bundles, anchors ───────────┘                                        ├─ elic_runtime/reports ─ report.html
the first photographs ─ details.py ─ pictures/ ───────────────────────┘
```
"""
