"""Reasons of conditions and events beyond the names of states, one source for code, pages, alerts and tests."""

from typing import Final

# Ready, Stalled, BackendReachable
CHAMPION_IN_USE: Final = "ChampionInUse"
NO_CHAMPION: Final = "NoChampion"
WITHDRAWN: Final = "Withdrawn"
STORE_UNREADABLE: Final = "StoreUnreadable"
NOTHING_TO_DO: Final = "NothingToDo"
EVALUATION_FAILED: Final = "EvaluationFailed"
STEP_NOT_STARTED: Final = "StepNotStarted"
INVALID_SPEC: Final = "InvalidSpec"
REGISTRY_UNREACHABLE: Final = "RegistryUnreachable"
REGISTRY_DAMAGED: Final = "RegistryDamaged"
OTHER_MODEL: Final = "RegistryOfOtherModel"
REACHABLE: Final = "Reachable"
UNREACHABLE: Final = "Unreachable"
# Progressing, AwaitingApproval
IDLE: Final = "Idle"
WAITS_FOR_A_PERSON: Final = "WaitsForAPerson"
NOTHING_WAITS: Final = "NothingWaits"
# Forgetting, Drifting
SCORE_FELL: Final = "ScoreFell"
SCORE_MOVED: Final = "ScoreMoved"
WITHIN_MARGIN: Final = "WithinMargin"
NOT_EVALUATED: Final = "NotEvaluated"
RECENT_BELOW_FLOOR: Final = "RecentBelowFloor"
RECENT_WITHIN_FLOOR: Final = "RecentWithinFloor"
NO_RECENT_CASES: Final = "NoRecentCases"
# UnverifiedPromotion
ENTRIES_VERIFIED: Final = "EntriesVerified"
ENTRY_UNVERIFIED: Final = "EntryUnverified"
RECORDS_UNSIGNED: Final = "RecordsUnsigned"
# TestPatientReturned
IMAGES_RETURNED: Final = "ImagesReturned"
NO_IMAGE_RETURNED: Final = "NoImageReturned"
# Claimed, RunSucceeded
CLAIMED_ELSEWHERE: Final = "ClaimedElsewhere"
NOT_CLAIMED: Final = "NotClaimed"
NOT_STARTED: Final = "NotStarted"
SUCCEEDED: Final = "Succeeded"
NO_RESULT: Final = "NoResult"
BACKEND_UNREACHABLE: Final = "BackendUnreachable"
# Decided, besides the names of states
MODEL_DELETED: Final = "ModelDeleted"
# Ready of a Site
READABLE: Final = "Readable"
REFUSED: Final = "Refused"
NOT_FOUND: Final = "NotFound"
INVALID: Final = "Invalid"
UNREADABLE: Final = "Unreadable"
SECRET_MISSING: Final = "SecretMissing"
INCOMPLETE_LIST: Final = "IncompleteList"
