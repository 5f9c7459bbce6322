"""Watches the grounding of a model over audits in time: control charts, change points and the stop rule.

``series.py`` reads finished runs, ``quantities.py`` takes the watched values from their tables, ``reference_mean.py``
and ``charts.py`` compare each audit with the first ones, ``stop_rule.py`` decides, and ``watch.py`` puts them together.
"""
