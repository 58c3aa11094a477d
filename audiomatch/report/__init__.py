"""`report.html`: a run on one page that needs nothing else."""

from audiomatch.report.page import write_report

__all__ = ["write_report"]
