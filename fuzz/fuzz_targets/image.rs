//! Invariants: no list of entries, no size and no option makes tree, formatter or plan panic; they fail
//! only for a reason they can say in one line; a plan's extents tile the filesystem; the filesystem read
//! back through them, with noise in every `Free` byte, passes `ext4::check` without a finding; a range
//! rendered in pieces equals the range rendered whole; a fitted filesystem leaves at least what was asked.

#![no_main]

#[path = "../support/input.rs"]
mod input;
#[path = "../support/readback.rs"]
mod readback;

use diskwright::archive::{Entry, EntryKind};
use diskwright::ext4::{Available, Fit, FitSize, Formatter, Identity, Options, Plan, PlanError, check::check};
use diskwright::extent::{SourceNr, tile};
use diskwright::observe::Silent;
use diskwright::read_at::ReadAt;
use diskwright::tree::{DataId, Tree};
use diskwright::units::Timestamp;
use input::{Input, Op};
use libfuzzer_sys::fuzz_target;
use readback::ReadBack;

/// Blocks of a file that a run of the target may place: more would take seconds.
const BLOCKS_MAX: u64 = 1 << 22;

fuzz_target!(|data: &[u8]| run(data));

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let shape = Shape::read(&mut input);
    let Some(mut formatter) = shape.formatter() else {
        return;
    };
    let mut tree = Tree::new();
    let mut blocks = 0;
    while let Some(op) = input.op() {
        match op {
            Op::Remove(path) => drop_all(&mut formatter, tree.remove(&path).dropped),
            Op::Insert(entries) => {
                for entry in entries {
                    blocks += placed(&entry);
                    if blocks > BLOCKS_MAX || !insert(&mut tree, &mut formatter, &entry) {
                        return;
                    }
                }
            }
        }
    }
    let identity = Identity {
        uuid: [7; 16],
        hash_seed: *b"0123456789abcdef",
        label: *b"fuzz\0\0\0\0\0\0\0\0\0\0\0\0",
        time: Timestamp::from_secs(1_700_000_000),
    };
    match formatter.finish(tree, &identity, &mut |w| says(&w)) {
        Ok(plan) => sound(&plan, &shape, data.len()),
        Err(PlanError::Unplaced { .. }) => panic!("nothing here needs 16 TiB"),
        Err(e) => says(&e.to_string()),
    }
}

/// What was asked for.
struct Shape {
    size: Option<u64>,
    available: Available,
    max_grow: Option<u64>,
    inodes: Option<u32>,
}

impl Shape {
    fn read(input: &mut Input<'_>) -> Self {
        let kind = input.byte();
        let size = match kind % 4 {
            0 => Some(u64::from(input.word()) * 4096 + u64::from(kind)),
            1 if kind < 250 => Some(u64::from(input.word() % 600) << 20),
            1 => Some(u64::from(input.word()) << 22),
            _ => None,
        };
        let available = match input.byte() {
            n @ 0..=99 => Available::Bytes(u64::from(n) << 12),
            n @ 100..=150 => Available::Bytes(u64::from(n) << 20),
            n => Available::Percent { percent: n.min(240) - 150, at_least: u64::from(n) << 12 },
        };
        let max_grow = match input.byte() {
            // Few descriptors: the checker reads every one of them.
            0..=199 => Some(1 << 33),
            n @ 200..=240 => Some(1 << (n - 190)),
            241..=248 => None,
            _ => Some(u64::MAX),
        };
        let inodes = match input.byte() {
            0..=199 => None,
            n @ 200..=250 => Some(u32::from(n - 200) << 8),
            n => Some(u32::from(n) << 16),
        };
        Self { size, available, max_grow, inodes }
    }

    fn formatter(&self) -> Option<Formatter> {
        let options = Options {
            inodes: self.inodes.map(u64::from),
            max_grow: self.max_grow,
            ..Options::default()
        };
        match self.size {
            Some(size) => match Formatter::sized(size, &options) {
                Ok(f) => Some(f),
                Err(e) => {
                    says(&e.to_string());
                    None
                }
            },
            None => {
                let fit = Fit { available: self.available, size: FitSize::Least };
                Some(Formatter::fitted(fit, &options))
            },
        }
    }
}

/// A message fit for a terminal.
fn says(message: &str) {
    assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
}

/// Blocks an entry can take.
fn placed(entry: &Entry) -> u64 {
    match &entry.kind {
        EntryKind::File { size, data: None } => size.div_ceil(4096),
        EntryKind::File { data: Some(runs), .. } => runs.iter().map(|r| r.len / 4096 + 2).sum(),
        _ => 0,
    }
}

fn drop_all(formatter: &mut Formatter, dropped: Vec<DataId>) {
    for id in dropped {
        formatter.drop_file(id);
    }
}

/// Whether the entry has a place.
fn insert(tree: &mut Tree, formatter: &mut Formatter, entry: &Entry) -> bool {
    let done = match tree.insert(entry) {
        Ok(done) => done,
        Err(e) => {
            says(&e.to_string());
            return false;
        }
    };
    done.warning.iter().for_each(|w| says(w));
    drop_all(formatter, done.dropped);
    if let (Some(node), EntryKind::File { size, data }) = (done.node, &entry.kind) {
        match formatter.add_file(*size, data.as_deref()) {
            Ok(id) => tree.set_data(node, id),
            Err(e) => {
                says(&e.to_string());
                return false;
            }
        }
    }
    true
}

fn sound(plan: &Plan, shape: &Shape, len: usize) {
    let extents = plan.extents(0, SourceNr(0), SourceNr(1), &[]);
    tile(&extents, plan.size()).expect("extents tile");
    let (_, findings) = check(&ReadBack { plan, extents: &extents }, &Silent).expect("it is ext4");
    assert!(findings.is_empty(), "{findings:#?}\n{:?}", plan.geometry());
    if shape.size.is_none() {
        let asked = match shape.available {
            Available::Bytes(n) => n,
            Available::Percent { percent, at_least } => {
                (plan.size() * u64::from(percent) / 100).max(at_least)
            }
        };
        assert!(plan.available() >= asked, "{} of {asked} bytes", plan.available());
    }
    // Some piece, cut at some odd places.
    let Some(piece) = plan.pieces().get(len % plan.pieces().len()) else { return };
    let mut whole = vec![1; usize::try_from(piece.len.min(8) * 4096).expect("64 bits")];
    plan.read_exact_at(piece.start * 4096, &mut whole).expect("inside");
    let mut cut = vec![2; whole.len()];
    let mut at = 0;
    for part in cut.chunks_mut(1 + len * 7 % 5000) {
        plan.read_exact_at(piece.start * 4096 + at, part).expect("inside");
        at += u64::try_from(part.len()).expect("64 bits");
    }
    assert!(whole == cut, "rendered in pieces, {piece:?} differs");
}
