//! Several requests at once that borrow what they work on: what a task of tokio cannot.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Does all of `work` at once. The first error ends it; what is not done then is dropped.
pub(super) async fn all<T, E>(
    work: impl IntoIterator<Item = impl Future<Output = Result<T, E>>>,
) -> Result<Vec<T>, E> {
    let mut running: Vec<_> = work.into_iter().map(|f| Some(Box::pin(f))).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, value) in running.iter_mut().zip(&mut done) {
            let Some(polled) = future.as_mut() else {
                continue;
            };
            match Pin::new(polled).poll(context) {
                Poll::Pending => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(v)) => {
                    *value = Some(v);
                    *future = None;
                }
            }
        }
        match running.iter().all(Option::is_none) {
            true => Poll::Ready(Ok(done.iter_mut().filter_map(Option::take).collect())),
            false => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn all_run_at_once_in_order_and_the_first_error_ends_them() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let wait = async |n: u64, result: Result<u64, u64>| {
            tokio::time::sleep(Duration::from_millis(n)).await;
            result
        };
        let begun = Instant::now();
        let values = runtime.block_on(all([wait(90, Ok(1)), wait(10, Ok(2)), wait(60, Ok(3))]));
        assert_eq!(values, Ok(vec![1, 2, 3]));
        let failed = runtime.block_on(all([wait(60_000, Ok(1)), wait(10, Err(2))]));
        assert_eq!(failed, Err(2));
        assert!(begun.elapsed() < Duration::from_secs(10));
        let none = [wait(0, Ok(0))].into_iter().take(0);
        assert_eq!(runtime.block_on(all(none)), Ok(vec![]));
    }
}
