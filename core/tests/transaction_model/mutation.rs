//! What can be taken out of the protocol: the proofs that the model would notice.

/// A simplification that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// `FINISH` removes the register of the vote.
    FinishForgets,
    /// A forced `VOTE` or `STATUS` answers no and records nothing.
    VoteWithoutTombstone,
    /// The client tells all to abort at once.
    AbortAndReleaseTogether,
    /// A recovery tells all at once what it has decided.
    DecideAndFinishTogether,
    /// The client takes it that what it aborts was not committed.
    AbortIsNeverLate,
    /// A refusal of a whole transaction leaves nothing.
    SingleRefusalUnrecorded,
    /// A whole transaction does not look at locks.
    SingleIgnoresLocks,
    /// What is read is compared and not locked.
    ReadsNotLocked,
    /// What is read is locked and not compared.
    ReadsNotCompared,
    /// Shared locks of which the patience is over are dropped where they are met.
    SharedLocksExpire,
    /// A slot is used again as soon as the user knows the outcome.
    SlotUsedEarly,
    /// A slot is used again though the outcome is in doubt.
    SlotUsedInDoubt,
    /// A secondary that has refused is not told of the abort.
    RefusersNotReleased,
    /// An abort leaves nothing at a secondary that knows nothing of it.
    NoTombstonesAtSecondaries,
    /// When the time is over, a forced vote is `STALE`.
    LateVoteStale,
    /// When the time is over, a forced vote is recorded as no.
    LateVoteRecorded,
    /// The client takes `STALE` from the primary for a commit.
    StaleIsCommit,
    /// The client takes `STALE` from the primary for an abort.
    StaleIsAbort,
    /// A recovery takes `STALE` from the primary for a commit.
    StaleIsCommitToOthers,
    /// A recovery takes `STALE` from the primary for an abort.
    StaleIsAbortToOthers,
    /// Who ends a transaction by its id does not know until when it may come.
    ResolvedWithoutItsTime,
    /// When the time is over, one of a slot that was used before is `STALE`, too.
    LateInAUsedSlotStale,
    /// A script does not look whether the slot was used since.
    LowerSequenceTaken(Taken),
    /// A register is swept by its age, whatever the others have.
    SweptByAge,
    /// The primary is asked at the node that some ring says has a key, not the one named.
    AskedByKey,
}

/// Which script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    OnePhase,
    Prepare,
    Finish,
    Status,
    Vote,
}
