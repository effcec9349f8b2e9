"""The PynamoDB models. All are imported here: a query can only give back classes that it knows."""

from .allocation import AllocationEntry, AllocationTally
from .assessment import Assessment, AssessmentQuestion
from .base import InvalidField, Item, configure, connection
from .conflict import AnswerConflict
from .consent import ConsentEvent
from .content import ContentDelivery, PreparedQuestion, SegmentTracking
from .grading import GradingTask
from .intervention import Intervention, Question
from .session import Session
from .statistics import ConditionStatistics
from .student import DirectoryEntry, School, Student
from .survey import PostSurvey
from .verification import LocationVerification

__all__ = [
    "AllocationEntry",
    "AllocationTally",
    "AnswerConflict",
    "Assessment",
    "AssessmentQuestion",
    "ConditionStatistics",
    "ConsentEvent",
    "ContentDelivery",
    "DirectoryEntry",
    "GradingTask",
    "Intervention",
    "InvalidField",
    "Item",
    "LocationVerification",
    "PostSurvey",
    "PreparedQuestion",
    "Question",
    "School",
    "SegmentTracking",
    "Session",
    "Student",
    "configure",
    "connection",
]
