//! How long and how often a run tries again: one budget for all its requests.

use super::fault::{Fault, Kind};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Attempts of one request while others succeed: with the delays below, half a minute of bad luck.
const ATTEMPTS: u32 = 10;
/// Retries that a run may have in hand; half a success gives one back. Four times the requests in flight, so
/// that an outage in the middle of a run ends by time and not by number.
const IN_HAND: f64 = 256.0;
/// Before anything was answered, a wrong endpoint is likelier than an outage.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// The first delay; each further one may be twice as long.
const BASE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST: Duration = Duration::from_secs(10);

/// The retries of a whole run.
#[derive(Debug)]
pub struct Patience {
    /// How long nothing may succeed.
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last success of any request.
    success: Option<Instant>,
    /// Whether anything was ever answered, be it with an error.
    answered: bool,
    in_hand: f64,
    retried: u64,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enough {
    /// It would end the same way.
    Hopeless,
    /// This one alone fails, or all have for too long.
    Tired,
}

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts {
    begun: Instant,
    /// Those that failed, throttled ones apart.
    failed: u32,
    /// All that failed.
    all: u32,
    /// Until when an absent thing may still appear.
    settles: Option<Instant>,
}

impl Attempts {
    pub(super) fn new(settles: Option<Instant>) -> Self {
        Self {
            begun: Instant::now(),
            failed: 0,
            all: 0,
            settles,
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.all
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Patience {
    /// A run that gives up when nothing has succeeded for `limit`.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let state = State {
            success: None,
            answered: false,
            in_hand: IN_HAND,
            retried: 0,
        };
        Self {
            limit,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often any request was tried again.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.state().retried
    }

    /// Begins anew, as for another run.
    pub(super) fn renew(&self) {
        let mut state = self.state();
        state.in_hand = IN_HAND;
        state.success = None;
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        state.success = Some(Instant::now());
        state.answered = true;
        state.in_hand = (state.in_hand + 0.5).min(IN_HAND);
    }

    /// How long to wait before the next attempt, if there is to be one.
    pub(super) fn again(&self, fault: &Fault, tries: &mut Attempts) -> Result<Duration, Enough> {
        let mut state = self.state();
        state.answered |= fault.status.is_some();
        tries.all += 1;
        if fault.kind != Kind::Throttled {
            tries.failed += 1;
        }
        let settling = fault.kind == Kind::Absent && tries.settles.is_some();
        if !fault.kind.is_transient() && !settling {
            return Err(Enough::Hopeless);
        }
        let now = Instant::now();
        if settling {
            if tries.settles.is_some_and(|until| now >= until) {
                return Err(Enough::Hopeless);
            }
        } else if self.tired(&state, tries, now) {
            return Err(Enough::Tired);
        } else if matches!(fault.kind, Kind::Clock | Kind::Garbled) && tries.failed > 2 {
            // The first answer corrects the clock of the client, and a body is rarely cut twice: a third time it is
            // about something else.
            return Err(Enough::Hopeless);
        } else if fault.kind != Kind::Throttled {
            state.in_hand -= 1.0;
        }
        state.retried += 1;
        Ok(delay(tries.all))
    }

    fn tired(&self, state: &State, tries: &Attempts, now: Instant) -> bool {
        let limit = match state.answered {
            true => self.limit,
            false => self.limit.min(FIRST_ANSWER),
        };
        let since = state.success.map_or(tries.begun, |s| s.max(tries.begun));
        let alone = tries.failed >= ATTEMPTS && state.success.is_some_and(|s| s > tries.begun);
        alone || state.in_hand < 1.0 || now.duration_since(since) >= limit
    }
}

/// A delay drawn at random, so that requests that failed together do not come back together.
fn delay(attempt: u32) -> Duration {
    let most = BASE.saturating_mul(1 << attempt.min(10)).min(LONGEST);
    // Each RandomState has other keys: as random as a delay needs to be.
    let drawn = RandomState::new().hash_one(attempt) % 1024;
    let drawn = u32::try_from(drawn).expect("below 1024");
    most / 4 + most * 3 / 4 * drawn / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind) -> Fault {
        Fault {
            kind,
            code: None,
            message: String::new(),
            status: Some(500),
            request_id: None,
        }
    }

    #[test]
    fn what_is_refused_is_not_tried_again() {
        let patience = Patience::new(Duration::from_secs(60));
        for kind in [Kind::Denied, Kind::Refused, Kind::Credentials, Kind::Absent] {
            let enough = patience.again(&fault(kind), &mut Attempts::new(None));
            assert_eq!(enough, Err(Enough::Hopeless), "{kind:?}");
        }
        assert_eq!(patience.retried(), 0);
    }

    #[test]
    fn what_is_absent_is_waited_for_while_it_settles() {
        let patience = Patience::new(Duration::from_secs(60));
        let later = Instant::now() + Duration::from_secs(60);
        let absent = fault(Kind::Absent);
        let mut attempts = Attempts::new(Some(later));
        for _ in 0..50 {
            assert!(patience.again(&absent, &mut attempts).is_ok());
        }
        let over = patience.again(&absent, &mut Attempts::new(Some(Instant::now())));
        assert_eq!(over, Err(Enough::Hopeless));
    }

    #[test]
    fn one_request_that_always_fails_ends_while_others_succeed() {
        let patience = Patience::new(Duration::from_secs(60));
        let mut attempts = Attempts::new(None);
        let mut tries = 0;
        while patience.again(&fault(Kind::Service), &mut attempts).is_ok() {
            patience.succeeded();
            tries += 1;
        }
        assert_eq!(tries, 9);
    }

    #[test]
    fn a_run_has_a_number_of_retries_in_hand() {
        let patience = Patience::new(Duration::from_secs(60));
        let retried = (0..)
            .take_while(|_| {
                let mut one = Attempts::new(None);
                patience.again(&fault(Kind::Service), &mut one).is_ok()
            })
            .count();
        assert_eq!(retried, 256);
        // Being throttled costs nothing, but time.
        let patience = Patience::new(Duration::from_secs(60));
        for _ in 0..1000 {
            let mut one = Attempts::new(None);
            assert!(patience.again(&fault(Kind::Throttled), &mut one).is_ok());
        }
    }

    #[test]
    fn delays_grow_and_stay_below_ten_seconds() {
        for attempt in 1..40 {
            let most = BASE.saturating_mul(1 << attempt.min(10)).min(LONGEST);
            let drawn = delay(attempt);
            assert!(drawn >= most / 4 && drawn <= most, "{attempt}: {drawn:?}");
        }
    }
}
