//! How many requests are in flight at once: more while they succeed, half as many when AWS throttles.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At first. 64 in flight fill 1 Gbit/s at the latency of another continent; a slow line is overrun by less.
const FIRST: f64 = 16.0;
/// Requests in flight together meet the same throttle: one of their answers counts.
const ONE_WAVE: Duration = Duration::from_secs(1);

/// The number of requests of one kind that may be in flight, after the rule that TCP follows: up by one for
/// each wave that succeeds, down by half for one that does not.
#[derive(Debug)]
pub struct Pace {
    most: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: f64,
    /// Until the first throttle the number doubles with every wave.
    starting: bool,
    slowed: Option<Instant>,
}

impl Pace {
    /// Never more than `most` at a time.
    #[must_use]
    pub fn new(most: u16) -> Self {
        let most = f64::from(most.max(1));
        let state = State {
            now: FIRST.min(most),
            starting: true,
            slowed: None,
        };
        Self {
            most,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may start beside the `running` ones.
    #[must_use]
    pub fn allows(&self, running: usize) -> bool {
        u32::try_from(running).is_ok_and(|n| f64::from(n) + 1.0 <= self.state().now)
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        let step = if state.starting { 1.0 } else { 1.0 / state.now };
        state.now = (state.now + step).min(self.most);
    }

    pub(super) fn overrun(&self) {
        let mut state = self.state();
        if state.slowed.is_some_and(|at| at.elapsed() < ONE_WAVE) {
            return;
        }
        state.now = (state.now / 2.0).max(1.0);
        state.starting = false;
        state.slowed = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(pace: &Pace) -> usize {
        (0..).take_while(|n| pace.allows(*n)).count()
    }

    #[test]
    fn grows_to_its_limit_and_halves_once_a_wave() {
        let pace = Pace::new(64);
        assert_eq!(allowed(&pace), 16);
        for _ in 0..100 {
            pace.succeeded();
        }
        assert_eq!(allowed(&pace), 64);
        for _ in 0..10 {
            pace.overrun();
        }
        assert_eq!(allowed(&pace), 32);
        for _ in 0..33 {
            pace.succeeded();
        }
        assert_eq!(allowed(&pace), 33);
    }

    #[test]
    fn one_is_always_allowed() {
        let pace = Pace::new(0);
        pace.overrun();
        assert_eq!(allowed(&pace), 1);
    }
}
