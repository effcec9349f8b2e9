"""The PynamoDB models. All are imported here: a query can only give back classes that it knows."""

from .allocation import AllocationEntry, AllocationTally
from .assessment import Assessment, AssessmentQuestion
from .base import InvalidField, Item, configure, connection
from .conflict import AnswerConflict
from .consent import ConsentEvent
from .content import ContentDelivery, PreparedQuestion, SegmentTracking
from .grading import GradingTask
from .intervention import Intervention, Question
from .review import HumanScoring, Review, ReviewedAnswer
from .session import Session
from .statistics import ConditionMonth, ConditionStatistics, Contribution, CountedStudent, DayCounts
from .student import DirectoryEntry, School, Student
from .survey import PostSurvey
from .verification import LocationVerification
from .worker import ShardCheckpoint

__all__ = [
    "AllocationEntry",
    "AllocationTally",
    "AnswerConflict",
    "Assessment",
    "AssessmentQuestion",
    "ConditionMonth",
    "ConditionStatistics",
    "ConsentEvent",
    "ContentDelivery",
    "Contribution",
    "CountedStudent",
    "DayCounts",
    "DirectoryEntry",
    "GradingTask",
    "HumanScoring",
    "Intervention",
    "InvalidField",
    "Item",
    "LocationVerification",
    "PostSurvey",
    "PreparedQuestion",
    "Question",
    "Review",
    "ReviewedAnswer",
    "School",
    "SegmentTracking",
    "Session",
    "ShardCheckpoint",
    "Student",
    "configure",
    "connection",
]
