//! Progress: bars on a terminal, a line now and then elsewhere, nothing with `--quiet`.

use super::{exit, signals, sizes};
use diskwright::observe::{Observer, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two lines of a log; most builds end before the first.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The same where nothing but time passes.
const WAIT_LINE_EVERY: Duration = Duration::from_secs(30);

/// Bar, bytes and rate. No colours: NO_COLOR has nothing to switch off.
const WITH_TOTAL: &str = "{prefix:>8} [{bar:32}] {binary_bytes:>10} of {binary_total_bytes} {binary_bytes_per_sec} {msg}";
/// Over a network the time left is what one asks for.
const SENDING: &str = "{prefix:>8} [{bar:32}] {binary_bytes:>10} of {binary_total_bytes} {binary_bytes_per_sec} {eta} left, {msg}";
/// What is only waited for.
const BYTELESS: &str = "{prefix:>8} {spinner} {msg}";
/// On a pipe the total is unknown.
const WITHOUT: &str = "{prefix:>8} {spinner} {binary_bytes:>10} {binary_bytes_per_sec} {msg}";

/// The command line's observer.
#[derive(Debug)]
pub(super) struct Progress {
    show: Show,
}

#[derive(Debug)]
enum Show {
    Nothing,
    Bars {
        all: MultiProgress,
        by_stage: Mutex<BTreeMap<Stage, ProgressBar>>,
    },
    Lines {
        last: Mutex<Instant>,
        begun: Mutex<BTreeMap<Stage, Instant>>,
        /// What was last told about a stage.
        details: Mutex<BTreeMap<Stage, String>>,
    },
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let show = if quiet {
            Show::Nothing
        } else if std::io::stderr().is_terminal() {
            Show::Bars {
                all: MultiProgress::new(),
                by_stage: Mutex::default(),
            }
        } else {
            Show::Lines {
                last: Mutex::new(Instant::now()),
                begun: Mutex::default(),
                details: Mutex::default(),
            }
        };
        Self { show }
    }

    /// Takes the bars off the terminal.
    pub(super) fn finish(&self) {
        if let Show::Bars { by_stage, .. } = &self.show {
            let bars = std::mem::take(&mut *lock(by_stage));
            bars.values().for_each(ProgressBar::finish_and_clear);
        }
    }
}

/// Rate and time left of what goes over a network.
fn left(stage: Stage, elapsed: Duration, done: u64, total: Option<u64>) -> String {
    let (Stage::Upload | Stage::Parent, Some(total)) = (stage, total) else {
        return String::new();
    };
    let ms = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let rate = done.saturating_mul(1000) / ms;
    let seconds = total.saturating_sub(done) / rate.max(1);
    format!(", {}/s, {seconds} s left", sizes::human(rate))
}

/// What a stage is to whoever waits for it.
fn word(stage: Stage) -> String {
    match stage {
        Stage::Sink => "writing".into(),
        stage => stage.to_string(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bar(stage: Stage, total: Option<u64>) -> ProgressBar {
    let template = match (total, stage) {
        (_, Stage::Image) => BYTELESS,
        (None, _) => WITHOUT,
        (Some(_), Stage::Upload | Stage::Parent) => SENDING,
        (Some(_), _) => WITH_TOTAL,
    };
    let style = ProgressStyle::with_template(template)
        .expect("the template is a constant that a test parses")
        .progress_chars("=> ");
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.with_style(style).with_prefix(word(stage))
}

impl Observer for Progress {
    fn progress(&self, stage: Stage, done: u64, total: Option<u64>) {
        match &self.show {
            Show::Nothing => {}
            Show::Bars { all, by_stage } => lock(by_stage)
                .entry(stage)
                .or_insert_with(|| all.add(bar(stage, total)))
                .set_position(done),
            Show::Lines {
                last,
                begun,
                details,
            } => {
                let begun = *lock(begun).entry(stage).or_insert_with(Instant::now);
                let mut last = lock(last);
                if last.elapsed() >= LINE_EVERY {
                    *last = Instant::now();
                    let of = total
                        .map(|t| format!(" of {}", sizes::human(t)))
                        .unwrap_or_default();
                    let mut more = left(stage, begun.elapsed(), done, total);
                    if let Some(text) = lock(details).get(&stage) {
                        more.push_str(&format!(", {text}"));
                    }
                    let stage = word(stage);
                    exit::complain(&format!("{stage}: {}{of}{more}\n", sizes::human(done)));
                }
            }
        }
    }

    fn detail(&self, stage: Stage, text: &str) {
        match &self.show {
            Show::Nothing => {}
            Show::Bars { all, by_stage } => {
                let mut bars = lock(by_stage);
                if stage == Stage::Image {
                    bars.entry(stage)
                        .or_insert_with(|| all.add(bar(stage, None)));
                }
                if let Some(bar) = bars.get(&stage) {
                    bar.set_message(text.to_owned());
                    bar.tick();
                }
            }
            Show::Lines { last, .. } if stage == Stage::Image => {
                let mut last = lock(last);
                if last.elapsed() >= WAIT_LINE_EVERY {
                    *last = Instant::now();
                    exit::complain(&format!("{stage}: {text}\n"));
                }
            }
            Show::Lines { details, .. } => drop(lock(details).insert(stage, text.to_owned())),
        }
    }

    fn note(&self, message: &str) {
        match &self.show {
            Show::Nothing => {}
            Show::Bars { all, .. } => all.suspend(|| exit::complain(&format!("{message}\n"))),
            Show::Lines { .. } => exit::complain(&format!("{message}\n")),
        }
    }

    fn warn(&self, message: &str) {
        match &self.show {
            Show::Bars { all, .. } => {
                all.suspend(|| exit::complain(&format!("warning: {message}\n")));
            }
            Show::Nothing | Show::Lines { .. } => exit::complain(&format!("warning: {message}\n")),
        }
    }

    fn cancelled(&self) -> bool {
        signals::caught().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_understood() {
        for total in [None, Some(4 << 20)] {
            for stage in [Stage::Archive, Stage::Upload, Stage::Image] {
                let bar = bar(stage, total);
                assert_eq!((bar.length(), bar.prefix()), (total, word(stage)));
            }
        }
    }

    #[test]
    fn rate_and_time_left_are_of_what_is_done() {
        let ten = Duration::from_secs(10);
        let text = left(Stage::Upload, ten, 100 << 20, Some(300 << 20));
        assert_eq!(text, ", 10.0 MiB/s, 20 s left");
        assert_eq!(left(Stage::Archive, ten, 1, Some(2)), "");
    }

    #[test]
    fn quiet_shows_nothing_and_still_listens() {
        let progress = Progress::new(true);
        progress.progress(Stage::Archive, 1, None);
        assert!(matches!(progress.show, Show::Nothing) && !progress.cancelled());
    }
}
