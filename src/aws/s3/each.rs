//! Many requests at a time, as many as pace and memory allow.

use crate::aws::Aws;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

/// How often what is in flight is looked at while nothing new comes.
const ASK: Duration = Duration::from_millis(20);

/// Does `one` for every item, at most `width` at a time; `done` learns how each ended. The first failure ends
/// all.
pub(super) async fn each<T, R, E, F, Work>(
    aws: &Aws,
    mut items: Receiver<T>,
    width: usize,
    one: F,
    mut done: impl FnMut(R),
) -> Result<(), E>
where
    F: Fn(T) -> Work,
    Work: Future<Output = Result<R, E>> + Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let mut tasks: JoinSet<Result<R, E>> = JoinSet::new();
    let ended =
        |joined: Result<Result<R, E>, _>| joined.expect("a task neither panics nor is aborted");
    loop {
        while tasks.len() >= width || !aws.pace().allows(tasks.len()) {
            match tasks.join_next().await {
                Some(joined) => done(ended(joined)?),
                None => break,
            }
        }
        while let Some(joined) = tasks.try_join_next() {
            done(ended(joined)?);
        }
        match tokio::time::timeout(ASK, items.recv()).await {
            Ok(Some(item)) => drop(tasks.spawn(one(item))),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    while let Some(joined) = tasks.join_next().await {
        done(ended(joined)?);
    }
    Ok(())
}
