//! The table of events: all that the core and the languages know of them is made from it.
//!
//! `cargo xtask codegen` writes it anew for the languages.

/// Every event: its variant, number and name; `(last)` if it is the last of its lock, call, counter or
/// transaction; behind an arrow what it counts in the statistics; and its fields. `as` gives the name that
/// the languages have for a field, where it is another.
macro_rules! events {
    ($then:ident) => {
        $then! {
            /// The lock is not free: the request is in its queue.
            LockQueued = 1 lock_queued -> lock_queued {
                /// The request.
                lock: LockId,
                /// The lock's name.
                name: Vec<u8>,
                /// How many are ahead of it.
                rank: u64,
                /// The label of the holder whose lease ends first, empty where it has none.
                holder: Vec<u8>,
            }
            /// The lock is held.
            LockGranted = 2 lock_granted -> lock_grants {
                /// The request.
                lock: LockId,
                /// The lock's name.
                name: Vec<u8>,
                /// The fencing token.
                fence: Fence,
                /// Until when, unless it is renewed.
                valid_until: Time,
            }
            /// The lease was made longer, as the last `lock_renew` asked for or by itself.
            LockRenewed = 3 lock_renewed -> lock_renewals {
                /// The request.
                lock: LockId,
                /// The lock's name.
                name: Vec<u8>,
                /// Until when, unless it is renewed again.
                valid_until: Time,
                /// Whether it is what the last `lock_renew` asked for, and not an earlier renewal that was on
                /// its way then.
                asked as accepted: bool,
            }
            /// The lease has ended without a release.
            LockLost = 4 lock_lost (last) -> lock_losses {
                /// The request.
                lock: LockId,
                /// The lock's name.
                name: Vec<u8>,
                /// `LockLost`, and why.
                error: Error,
            }
            /// The lock was given back.
            LockReleased = 5 lock_released (last) -> lock_releases {
                /// The request.
                lock: LockId,
                /// The lock's name.
                name: Vec<u8>,
            }
            /// The lock was not granted, or its release could not be confirmed.
            LockFailed = 6 lock_failed (last) -> lock_failures {
                /// The request.
                lock: LockId,
                /// The lock's name.
                name: Vec<u8>,
                /// Why.
                error: Error,
                /// The label of the holder in the way, where known.
                holder: Option<Vec<u8>>,
            }
            /// The answer to `lock_inspect`.
            LockInspected = 7 lock_inspected (last) {
                /// The call.
                call: CallId,
                /// Who holds and who waits.
                inspection: Inspection,
            }
            /// The fencing guard's answer to `fence_check`, with the highest fence seen.
            FenceChecked = 8 fence_checked (last) {
                /// The call.
                call: CallId,
                /// Whether the fence is at least as high as every one seen before.
                accepted: bool,
                /// The highest fence seen.
                highest as fence: Fence,
            }
            /// All that was counted before the call is safe, as the counter's durability has it.
            CounterFlushed = 9 counter_flushed (last) {
                /// The call.
                call: CallId,
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// The node.
                node: NodeId,
            }
            /// The value as recent as was asked for.
            CounterRead = 10 counter_read (last) {
                /// The call.
                call: CallId,
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// The node.
                node: NodeId,
                /// What it stands at.
                value: CounterValue,
            }
            /// The value began anew at zero, once.
            CounterReset = 11 counter_reset (last) {
                /// The call.
                call: CallId,
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// The node.
                node: NodeId,
                /// How many resets there were, this one included.
                epoch: u64,
            }
            /// All slots were read.
            CounterAudited = 12 counter_audited (last) {
                /// The call.
                call: CallId,
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// The node.
                node: NodeId,
                /// What was found.
                audit: Audit,
            }
            /// Write this down, in place of what was written before, then say `counter_journaled`.
            CounterJournal = 13 counter_journal {
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// What a later life has to restore.
                bytes: Vec<u8>,
            }
            /// These are not counted, or nobody can tell, and will not be tried again. At most so many.
            CounterLost = 14 counter_lost -> counter_losses {
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// Increments and decrements.
                lost as units: Tally,
                /// Why.
                error: Error,
            }
            /// The server has lost acknowledged units, as after a failover. Those of this replica are given
            /// back to it; the value may have gone back until every replica has done so.
            CounterRegressed = 15 counter_regressed -> counter_regressions {
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// The node.
                node: NodeId,
            }
            /// The server does not take what is counted. It is kept and tried again; told once until it
            /// does.
            CounterRefused = 16 counter_refused {
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// Why.
                error: Error,
            }
            /// The counter is closed. So many units were not acknowledged by then: they may be counted or not.
            CounterClosed = 17 counter_closed (last) {
                /// The counter.
                counter: CounterId,
                /// The counter's name.
                name: Vec<u8>,
                /// The node.
                node: NodeId,
                /// What was not acknowledged by then: it may be counted or not.
                unacknowledged as units: Tally,
            }
            /// The transaction is applied, or will be: it is decided.
            TransactionCommitted = 18 transaction_committed (last) -> transaction_commits {
                /// The transaction.
                transaction: Handle,
                /// Its id, as text.
                id: Vec<u8>,
                /// One for each command; none where another client has committed it and they are gone, or
                /// where an answer was lost that was too long to be recorded, over 16 KiB.
                replies: Option<Vec<Reply>>,
                /// Whether plain readers see all of it by now.
                applied: bool,
                /// So many replicas of each of its servers are known to have all of it; none where they were
                /// not waited for.
                replicas: Option<u32>,
            }
            /// Nothing of the transaction was applied, and nothing will be.
            TransactionFailed = 19 transaction_failed (last) -> transaction_failures {
                /// The transaction.
                transaction: Handle,
                /// Its id, as text; empty where it had none yet.
                id: Vec<u8>,
                /// Why.
                error: Error,
            }
            /// Nobody can tell now whether the transaction is applied. It goes on being found out, which
            /// ends with `TransactionEnded`.
            TransactionUnknown = 20 transaction_unknown (last) -> transaction_doubts {
                /// The transaction.
                transaction: Handle,
                /// Its id, as text.
                id: Vec<u8>,
                /// `OutcomeUnknown`.
                error: Error,
            }
            /// What has become of a transaction that was told to be unknown.
            TransactionEnded = 21 transaction_ended {
                /// Its id, as text.
                id: Vec<u8>,
                /// What.
                outcome: TransactionOutcome,
            }
            /// A node does not have what a transaction has decided, as after a failover. The outcome that
            /// was told stands.
            TransactionDamaged = 22 transaction_damaged -> transaction_damages {
                /// The transaction's id, as text.
                id: Vec<u8>,
                /// The node.
                node: NodeId,
            }
            /// What the primary says of a transaction, asked by `transaction_status`.
            TransactionStatus = 23 transaction_status (last) {
                /// The call.
                call: CallId,
                /// The transaction's id, as text.
                id: Vec<u8>,
                /// What.
                outcome: TransactionOutcome,
            }
            /// A transaction was ended by `transaction_resolve`.
            TransactionResolved = 24 transaction_resolved (last) {
                /// The call.
                call: CallId,
                /// The transaction's id, as text.
                id: Vec<u8>,
                /// How.
                outcome: TransactionOutcome,
            }
            /// Every node was searched for what transactions have left over. So much was removed, or is being
            /// ended.
            TransactionSwept = 25 transaction_swept (last) {
                /// The call.
                call: CallId,
                /// How many registers were removed, and how many transactions are being ended.
                count: u64,
                /// How many registers and locks nobody can read, as after an accident. They were left as they
                /// are.
                unreadable: u64,
            }
            /// A node can serve: its version and policy, empty where it would not tell.
            NodeChecked = 26 node_checked (last) {
                /// The call.
                call: CallId,
                /// The node.
                node: NodeId,
                /// The server's version, empty where it would not tell.
                version as server_version: String,
                /// What it evicts when memory is full, empty where it would not tell. Anything but
                /// `noeviction` can evict a lock, which then has two holders.
                eviction_policy: String,
            }
            /// A call came to nothing.
            CallFailed = 27 call_failed (last) {
                /// The call.
                call: CallId,
                /// The node it was for.
                node: NodeId,
                /// Why.
                error: Error,
            }
            /// The push connection is subscribed: waiters are told of their grants.
            PushReady = 28 push_ready {
                /// The node.
                node: NodeId,
            }
            /// There is no push connection for now: waiters ask again and again instead.
            PushUnavailable = 29 push_unavailable {
                /// The node.
                node: NodeId,
                /// Why.
                error: Error,
            }
            /// Everything that `close` began is done, or its time is over.
            Closed = 30 closed;
            /// The transaction is committed, and fewer of a node's replicas are known to have it than was
            /// asked for: a failover of the node could lose its part. One for each such node, ahead of
            /// `TransactionCommitted`.
            TransactionNotDurable = 31 transaction_not_durable -> transaction_not_durable {
                /// The transaction.
                transaction: Handle,
                /// Its id, as text.
                id: Vec<u8>,
                /// The node.
                node: NodeId,
                /// So many of its replicas are known to have it.
                replicas: u32,
                /// Why not more: `NoAnswer`, or what kept the question from being answered.
                error: Error,
            }
            /// The server of a node does not serve: no connection to it can be made, the one there was broke, a
            /// command was not answered in time, or the server refuses to connect or to do anything, as while it
            /// loads. The error says why. Once for each outage, however many commands fail for it; `NodeUp` is its
            /// end. What waits for a lock there waits on, within its own wait.
            NodeDown = 32 node_down {
                /// The node.
                node: NodeId,
                /// `Unreachable` or `NoAnswer`, its message the reason, in the host's words where it has told
                /// any; or `ServerRefused`, with the server's.
                error: Error,
                /// How many requests wait in line for a lock there.
                waiting: u64,
            }
            /// The server of a node serves again, after a `NodeDown`: a refusal is none. Nobody asks it for that
            /// only: it shows when it is next used.
            NodeUp = 33 node_up {
                /// The node.
                node: NodeId,
                /// From the first sign of the outage to the first answer that is no error.
                outage: Span,
            }
            /// The renewal that `lock_renew` asked for was refused, or not confirmed in time: the lease is as it
            /// was, unless the server has executed one that is not answered. Renewals by themselves go on, with
            /// the length there was before.
            LockNotRenewed = 34 lock_not_renewed {
                /// The request.
                lock: LockId,
                /// The lock's name.
                name: Vec<u8>,
                /// `NoAnswer` if it was sent, `Unreachable` if not, or the server's refusal.
                error: Error,
            }
        }
    };
}

pub(crate) use events;
