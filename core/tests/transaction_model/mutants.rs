//! The proofs that the model would notice: each takes one rule out of the protocol, and shows that
//! the same model holds with it.

use crate::faults;
use crate::model::Wrong::{self, AtRest, InAStep};
use crate::mutation::{Mutation, Taken};
use crate::rest::Unrest;
use crate::scenario::{Budget, Scenario};
use crate::world::Broken;

const HALF: Wrong = AtRest(Unrest::Half);
const TOLD: Wrong = AtRest(Unrest::Told);
const ORDER: Wrong = AtRest(Unrest::PrepareOrder);

/// Nothing goes wrong, but somebody may recover what is on its way.
const QUIET: Budget = Budget { recoveries: 1, timers: 0, ..faults(0) };
/// Its user may give up.
const LIMITED: Budget = Budget { faults: 1, limits: 1, losses: 0, strays: 0, crashes: 0, ..QUIET };
/// A command may be executed late or twice.
const STRAYS: Budget = Budget { strays: 1, limits: 0, recoveries: 0, ..LIMITED };
/// The time of all may be over, and registers swept.
const LATE: Budget = Budget { late: 1, sweeps: 1, ..QUIET };

fn one(name: &'static str, budget: Budget) -> Scenario {
    Scenario::new(name, 2, budget).with(0, "a b", "", "")
}

fn skew(name: &'static str) -> Scenario {
    let budget = Budget { recoveries: 0, ..QUIET };
    Scenario::new(name, 2, budget).with(0, "a", "", "b").with(1, "b", "", "a")
}

#[test]
fn if_finish_forgot_the_vote_a_recovery_would_take_it_for_a_no() {
    one("a recovery", QUIET).assert_broken_by(Mutation::FinishForgets, &[HALF, TOLD]);
}

#[test]
fn if_a_no_were_not_recorded_a_late_vote_could_be_a_yes() {
    one("a recovery", QUIET).assert_broken_by(Mutation::VoteWithoutTombstone, &[HALF, TOLD]);
}

#[test]
fn if_all_were_told_at_once_to_abort_a_recovery_could_have_committed() {
    one("an abort", LIMITED).assert_broken_by(Mutation::AbortAndReleaseTogether, &[HALF]);
}

#[test]
fn if_a_recovery_told_all_at_once_the_client_could_have_aborted() {
    one("an abort", LIMITED).assert_broken_by(Mutation::DecideAndFinishTogether, &[HALF]);
}

#[test]
fn if_an_abort_were_never_too_late_an_applied_transaction_would_be_said_to_be_aborted() {
    one("an abort", LIMITED).assert_broken_by(Mutation::AbortIsNeverLate, &[HALF, TOLD]);
}

#[test]
fn if_a_refusal_of_one_script_were_not_recorded_its_copy_could_be_applied() {
    Scenario::new("a copy of one script", 2, STRAYS)
        .with(0, "a b", "", "")
        .with(1, "b", "", "")
        .assert_broken_by(Mutation::SingleRefusalUnrecorded, &[TOLD]);
}

#[test]
fn if_one_script_ignored_locks_its_writes_would_be_lost() {
    Scenario::new("one script", 2, Budget { recoveries: 0, ..QUIET })
        .with(0, "a b", "", "")
        .with(1, "b", "", "")
        .assert_broken_by(Mutation::SingleIgnoresLocks, &[TOLD, ORDER]);
}

#[test]
fn if_reads_were_not_locked_two_could_each_write_what_the_other_has_read() {
    skew("write skew").assert_broken_by(Mutation::ReadsNotLocked, &[ORDER]);
}

#[test]
fn if_reads_were_not_compared_updates_would_be_lost() {
    skew("write skew").assert_broken_by(Mutation::ReadsNotCompared, &[ORDER]);
}

#[test]
fn if_shared_locks_were_dropped_two_could_each_write_what_the_other_has_read() {
    skew("write skew").assert_broken_by(Mutation::SharedLocksExpire, &[ORDER]);
}

#[test]
fn if_a_snapshot_did_not_lock_it_could_see_half_of_a_transaction() {
    Scenario::new("a snapshot", 2, Budget { recoveries: 0, ..QUIET })
        .with(0, "a b", "", "")
        .with(1, "", "a b", "")
        .assert_broken_by(Mutation::ReadsNotLocked, &[ORDER]);
}

#[test]
fn if_a_slot_were_used_before_all_have_acknowledged_recovery_would_not_end() {
    Scenario::new("a slot used twice", 2, QUIET)
        .with(0, "a b", "", "")
        .with(0, "b", "", "")
        .assert_broken_by(
            Mutation::SlotUsedEarly,
            &[HALF, AtRest(Unrest::NoEnd), InAStep(Broken::Slot)],
        );
}

#[test]
fn if_a_slot_in_doubt_were_used_again_half_of_a_transaction_would_be_released() {
    let budget = Budget { faults: 2, limits: 2, ..LIMITED };
    Scenario::new("a slot in doubt", 2, budget)
        .with(0, "a b", "", "")
        .with(0, "a", "", "")
        .assert_broken_by(Mutation::SlotUsedInDoubt, &[HALF, InAStep(Broken::Slot)]);
}

#[test]
fn if_a_refuser_were_not_told_its_copy_would_keep_the_slot() {
    Scenario::new("a refuser and a copy", 3, STRAYS)
        .with(0, "a b", "", "")
        .with(1, "b c", "", "")
        .with(0, "b", "", "")
        .assert_broken_by(Mutation::RefusersNotReleased, &[InAStep(Broken::Slot)]);
}

#[test]
fn if_an_abort_left_nothing_at_a_secondary_a_late_vote_would_keep_the_slot() {
    Scenario::new("a late vote", 2, Budget { recoveries: 0, ..LIMITED })
        .with(0, "a b", "", "")
        .with(0, "b", "", "")
        .assert_broken_by(Mutation::NoTombstonesAtSecondaries, &[InAStep(Broken::Slot)]);
}

#[test]
fn if_a_late_vote_were_stale_recovery_would_not_end() {
    one("when the time is over", LATE)
        .assert_broken_by(Mutation::LateVoteStale, &[AtRest(Unrest::NoEnd)]);
}

#[test]
fn if_a_late_vote_were_recorded_what_is_applied_would_be_taken_for_damaged() {
    let budget =
        Budget { faults: 1, losses: 1, timers: 1, strays: 0, crashes: 0, limits: 0, ..LATE };
    one("swept and asked again", budget)
        .assert_broken_by(Mutation::LateVoteRecorded, &[InAStep(Broken::Damaged)]);
}

#[test]
fn stale_is_not_an_abort_to_others() {
    one("when the time is over", LATE).assert_broken_by(Mutation::StaleIsAbortToOthers, &[TOLD]);
}

#[test]
fn stale_is_not_a_commit_to_the_client() {
    one("late and given up", Budget { late: 1, ..LIMITED })
        .assert_broken_by(Mutation::StaleIsCommit, &[HALF, TOLD]);
}

#[test]
fn stale_is_not_an_abort_to_the_client() {
    one("swept and given up", Budget { late: 1, sweeps: 1, ..LIMITED })
        .assert_broken_by(Mutation::StaleIsAbort, &[TOLD]);
}

#[test]
fn stale_is_not_a_commit_to_others() {
    one("when the time is over", LATE)
        .assert_broken_by(Mutation::StaleIsCommitToOthers, &[HALF, TOLD]);
}

#[test]
fn if_it_were_resolved_without_its_time_it_would_be_called_over_and_come() {
    let budget = Budget { recoveries: 0, resolves: 1, ..QUIET };
    one("resolved", budget).assert_broken_by(Mutation::ResolvedWithoutItsTime, &[TOLD]);
}

#[test]
fn if_what_is_late_in_a_used_slot_were_stale_it_would_be_called_over_and_come() {
    let budget = Budget { recoveries: 0, resolves: 1, sweeps: 0, ..LATE };
    Scenario::new("resolved late", 1, budget)
        .with(0, "a", "", "")
        .with(0, "a", "", "")
        .assert_broken_by(Mutation::LateInAUsedSlotStale, &[TOLD]);
}

#[test]
fn if_one_script_were_taken_with_a_lower_sequence_it_would_be_applied_twice() {
    Scenario::new("a copy of one script", 2, STRAYS)
        .with(0, "b", "", "")
        .with(0, "b", "", "")
        .assert_broken_by(
            Mutation::LowerSequenceTaken(Taken::OnePhase),
            &[AtRest(Unrest::Twice), ORDER],
        );
}

#[test]
fn if_a_vote_were_taken_with_a_lower_sequence_it_would_be_applied_twice() {
    Scenario::new("a copy of a vote", 2, STRAYS)
        .with(0, "a b", "", "")
        .with(0, "b", "", "")
        .assert_broken_by(
            Mutation::LowerSequenceTaken(Taken::Prepare),
            &[AtRest(Unrest::Twice), ORDER],
        );
}

#[test]
fn if_an_end_were_taken_with_a_lower_sequence_it_would_end_the_next() {
    Scenario::new("a copy of an end", 2, STRAYS)
        .with(0, "a b", "", "")
        .with(0, "a b", "", "")
        .assert_broken_by(
            Mutation::LowerSequenceTaken(Taken::Finish),
            &[HALF, TOLD, AtRest(Unrest::Left), InAStep(Broken::Damaged)],
        );
}

#[test]
fn if_a_question_were_taken_with_a_lower_sequence_it_would_abort_the_next() {
    for script in [Taken::Status, Taken::Vote] {
        Scenario::new("a slow recovery", 2, QUIET)
            .with(0, "a b", "", "")
            .with(0, "a b", "", "")
            .assert_broken_by(
                Mutation::LowerSequenceTaken(script),
                &[HALF, TOLD, AtRest(Unrest::Left), InAStep(Broken::Damaged)],
            );
    }
}

#[test]
fn if_registers_were_swept_by_age_half_of_a_transaction_would_be_released() {
    one("when the time is over", LATE).assert_broken_by(Mutation::SweptByAge, &[HALF, TOLD]);
}

#[test]
fn if_the_primary_were_sought_by_key_another_node_would_be_asked() {
    Scenario::new("another node", 3, QUIET)
        .with(0, "a b", "", "")
        .assert_broken_by(Mutation::AskedByKey, &[HALF, TOLD]);
}
