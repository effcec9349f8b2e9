"""The PynamoDB models. All are imported here: a query can only give back classes that it knows."""

from ..store.items import InvalidField, Item, configure, connection, readable
from .allocation import AllocationEntry, AllocationTally, StudentAllocation
from .assessment import Assessment, AssessmentQuestion
from .audit import AuditEntry, AuditHead, AuditReason, AuditSeal, Sealer
from .conflict import AnswerConflict
from .consent import ConsentEvent, FormText, RenewalDecision
from .content_delivery import ContentDelivery, PreparedQuestion, SegmentTracking
from .dead_letter import DeadLetter
from .device import Browser, ParticipantLink
from .erasure import ErasureTask
from .export import ExportJob, ExportRecall
from .grading_task import GradingTask
from .human_scoring import HumanScoring, Review, ReviewedAnswer
from .intervention import Intervention, Question
from .message import Call, OpenCall
from .plan import PlanVersion
from .question_lease import QuestionMaking
from .roster import Roster, RosterEntry
from .session import Session
from .spending import Spending, TutorHealth
from .statistics import ConditionMonth, ConditionStatistics, Contribution, CountedStudent, DayCounts
from .stream_checkpoint import DutyState, ShardCheckpoint, StudySettings, WorkerHeartbeat
from .student import DirectoryEntry, FormRecord, School, Student
from .survey import PostSurvey
from .tombstone import Tombstone
from .verification import LocationVerification

__all__ = [
    "AllocationEntry",
    "AllocationTally",
    "AnswerConflict",
    "Assessment",
    "AssessmentQuestion",
    "AuditEntry",
    "AuditHead",
    "AuditReason",
    "AuditSeal",
    "Browser",
    "Call",
    "ConditionMonth",
    "ConditionStatistics",
    "ConsentEvent",
    "ContentDelivery",
    "Contribution",
    "CountedStudent",
    "DayCounts",
    "DeadLetter",
    "DirectoryEntry",
    "DutyState",
    "ErasureTask",
    "ExportJob",
    "ExportRecall",
    "FormRecord",
    "FormText",
    "GradingTask",
    "HumanScoring",
    "Intervention",
    "InvalidField",
    "Item",
    "LocationVerification",
    "OpenCall",
    "ParticipantLink",
    "PlanVersion",
    "PostSurvey",
    "PreparedQuestion",
    "Question",
    "QuestionMaking",
    "RenewalDecision",
    "Review",
    "ReviewedAnswer",
    "Roster",
    "RosterEntry",
    "School",
    "Sealer",
    "SegmentTracking",
    "Session",
    "ShardCheckpoint",
    "Spending",
    "Student",
    "StudentAllocation",
    "StudySettings",
    "Tombstone",
    "TutorHealth",
    "WorkerHeartbeat",
    "configure",
    "connection",
    "readable",
]
