//! What can go wrong between a client and its server, and what does, by the seed.

use super::Rng;

/// How often each fault happens, in a thousand commands, pushes or steps of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Not a byte is written.
    pub(crate) not_sent: u64,
    /// The command never arrives, and nobody is told why.
    pub(crate) lost_command: u64,
    /// It is executed, and the reply never arrives.
    pub(crate) lost_reply: u64,
    /// It is executed long after it was given up, up to a minute after it was sent.
    pub(crate) straggler: u64,
    /// It is executed twice.
    pub(crate) twice: u64,
    /// The reply comes, and comes again.
    pub(crate) repeated_reply: u64,
    pub(crate) lost_push: u64,
    pub(crate) repeated_push: u64,
    /// The push connection breaks.
    pub(crate) push_break: u64,
    /// The client is gone for ever, without a word.
    pub(crate) crash: u64,
    pub(crate) pause: u64,
    /// A pause during which the client's clock stands still, told as a clock gap.
    pub(crate) clock_gap: u64,
    pub(crate) script_flush: u64,
    /// The longest that one way takes usually, and sometimes.
    pub(crate) delay_us: (u64, u64),
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        not_sent: 0,
        lost_command: 0,
        lost_reply: 0,
        straggler: 0,
        twice: 0,
        repeated_reply: 0,
        lost_push: 0,
        repeated_push: 0,
        push_break: 0,
        crash: 0,
        pause: 0,
        clock_gap: 0,
        script_flush: 0,
        delay_us: (1_000, 2_000),
    };

    /// Some faults often, others not at all, so that runs differ in kind.
    pub(crate) fn swarm(rng: &mut Rng) -> Self {
        let mut some = |most: u64| if rng.chance(500) { rng.below(most + 1) } else { 0 };
        Self {
            not_sent: some(100),
            lost_command: some(100),
            lost_reply: some(150),
            straggler: some(100),
            twice: some(100),
            repeated_reply: some(100),
            lost_push: some(700),
            repeated_push: some(200),
            push_break: some(30),
            crash: some(8),
            pause: some(30),
            clock_gap: some(30),
            script_flush: some(20),
            delay_us: (1 + some(20_000), 1 + some(1_500_000)),
        }
    }

    pub(crate) fn delay(&self, rng: &mut Rng) -> u64 {
        let (usual, rare) = self.delay_us;
        let longest = if rng.chance(50) { rare } else { usual };
        1 + rng.below(longest)
    }
}

/// What becomes of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    AnsweredTwice,
    ExecutedTwice,
    NotSent,
    LostCommand,
    LostReply,
    Straggler,
}

impl Fate {
    pub(crate) fn of(faults: &Faults, rng: &mut Rng) -> Self {
        let fates = [
            (faults.not_sent, Self::NotSent),
            (faults.lost_command, Self::LostCommand),
            (faults.lost_reply, Self::LostReply),
            (faults.straggler, Self::Straggler),
            (faults.twice, Self::ExecutedTwice),
            (faults.repeated_reply, Self::AnsweredTwice),
        ];
        let fate = fates.into_iter().find(|(chance, _)| rng.chance(*chance));
        fate.map_or(Self::Answered, |(_, fate)| fate)
    }
}
