//! Work on all processors whose results are taken in the order in which it was given out.
//!
//! ```text
//!  next ─► job 0 ─► thread A ─► result 0 ─┐
//!       ─► job 1 ─► thread B ─► result 1 ─┼─► put: 0, 1, 2, …
//!       ─► job 2 ─► thread A ─► result 2 ─┘
//! ```

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Gives what `next` has to `work` on so many threads, each with a state of its own that `begin` makes, and the
/// results to `put`. `next` and `put` run on the caller's thread; a few jobs for each thread are under way.
///
/// # Errors
/// The first of `next` and `put`; nothing is given out after it.
pub fn in_order<S, J: Send, R: Send, E>(
    threads: NonZeroUsize,
    mut next: impl FnMut() -> Result<Option<J>, E>,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, J) -> R + Sync,
    mut put: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let ahead = 3 * threads.get();
    let (jobs, taken) = sync_channel::<(J, SyncSender<R>)>(ahead);
    let taken = Mutex::new(taken);
    thread::scope(|scope| {
        // They end when `jobs` does.
        let jobs = jobs;
        for _ in 0..threads.get() {
            scope.spawn(|| run(&taken, begin(), &work));
        }
        let mut waiting: VecDeque<Receiver<R>> = VecDeque::new();
        let mut more = true;
        loop {
            while more && waiting.len() < ahead {
                match next()? {
                    None => more = false,
                    Some(job) => {
                        let (tell, answer) = sync_channel(1);
                        // Fails when every thread has panicked, and then the scope does.
                        let _ = jobs.send((job, tell));
                        waiting.push_back(answer);
                    }
                }
            }
            let Some(first) = waiting.pop_front() else {
                return Ok(());
            };
            match first.recv() {
                Ok(result) => put(result)?,
                // A thread has panicked, and then the scope does.
                Err(_) => return Ok(()),
            }
        }
    })
}

fn run<S, J, R>(
    taken: &Mutex<Receiver<(J, SyncSender<R>)>>,
    mut state: S,
    work: &impl Fn(&mut S, J) -> R,
) {
    loop {
        let job = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, tell)) = job else { return };
        // Nobody waits for it any more: `put` has failed.
        let _ = tell.send(work(&mut state, job));
    }
}

/// As many threads as there are processors.
#[must_use]
pub fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_come_in_order_whatever_they_take() {
        for threads in [1, 2, 7] {
            let (mut jobs, mut seen) = (0..100_u64, Vec::new());
            let done: Result<(), ()> = in_order(
                NonZeroUsize::new(threads).unwrap(),
                || Ok(jobs.next()),
                || (),
                |(), n| {
                    thread::sleep(Duration::from_micros(n * 37 % 500));
                    n
                },
                |n| {
                    seen.push(n);
                    Ok(())
                },
            );
            assert!(done.is_ok() && seen.iter().copied().eq(0..100));
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let mut n = 0;
        let ended = in_order(
            NonZeroUsize::MIN,
            || {
                n += 1;
                if n > 20 { Err("next") } else { Ok(Some(n)) }
            },
            || (),
            |(), n| n,
            |_| Ok(()),
        );
        assert_eq!(ended, Err("next"));
        let ended = in_order(
            NonZeroUsize::MIN,
            || Ok(Some(1)),
            || (),
            |(), n| n,
            |_| Err("put"),
        );
        assert_eq!(ended, Err("put"));
    }
}
