"""What is found and kept, as typed records: folds, scores, the leaderboard, the run, the model.

Every JSON file of a run folder, and the card of a model folder, is one of these records, written
by `FileRecord.write` and read by `FileRecord.read`; that of a kept fold is in its Parquet file. The
tables of `docs/reference/files.md` are made of their fields.
"""

from audiomatch.records.base import (
    SCHEMA_VERSION,
    FileRecord,
    FoldStatus,
    OtherVersionError,
    Record,
    RowStatus,
    first_problem,
)
from audiomatch.records.behaviour import Behaviour
from audiomatch.records.calibration import Calibrated, CalibrationRecord, CurveRecord
from audiomatch.records.difference import Difference
from audiomatch.records.fold import FoldResult, FoldSummary, KeptFold
from audiomatch.records.leaderboard import (
    FoldError,
    FoldScores,
    GradeScores,
    Leaderboard,
    Row,
    Scores,
    TaskScores,
    deaf_floors,
)
from audiomatch.records.model import FitRecord, HeldOut, ModelCard, PluginRecord, Thresholds
from audiomatch.records.operating import OperatingPoint
from audiomatch.records.run import (
    DataRecord,
    FoldsMade,
    FoldsRecord,
    MachineRecord,
    RunRecord,
)
from audiomatch.records.training import ALL, LearningPoint, RecipeDifference, VariancePart

__all__ = [
    "ALL",
    "SCHEMA_VERSION",
    "Behaviour",
    "Calibrated",
    "CalibrationRecord",
    "CurveRecord",
    "DataRecord",
    "Difference",
    "FileRecord",
    "FitRecord",
    "FoldError",
    "FoldResult",
    "FoldScores",
    "FoldStatus",
    "FoldSummary",
    "FoldsMade",
    "FoldsRecord",
    "GradeScores",
    "HeldOut",
    "KeptFold",
    "Leaderboard",
    "LearningPoint",
    "MachineRecord",
    "ModelCard",
    "OperatingPoint",
    "OtherVersionError",
    "PluginRecord",
    "RecipeDifference",
    "Record",
    "Row",
    "RowStatus",
    "RunRecord",
    "Scores",
    "TaskScores",
    "Thresholds",
    "VariancePart",
    "deaf_floors",
    "first_problem",
]
