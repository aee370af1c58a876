//! The snapshots of the fake: what they are, and what a volume made of one would hold.

use super::console::Instance;
use super::faults::Faults;
use super::images::Ami;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant, SystemTime};

/// As the user guide has it; nothing else is taken.
pub const BLOCK: usize = 512 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    /// Said to be complete; EC2 still calls it pending.
    Completing,
    Completed,
    Error(String),
}

pub struct Snapshot {
    pub id: String,
    pub token: String,
    /// What a request with the same token must repeat.
    pub request: serde_json::Value,
    pub gibibytes: u64,
    pub parent: Option<String>,
    pub encrypted: bool,
    pub tags: BTreeMap<String, String>,
    pub started: Instant,
    pub start_time: SystemTime,
    pub digests: BTreeMap<u32, [u8; 32]>,
    pub completed: Option<Instant>,
    pub failed: Option<String>,
    pub deleted: bool,
    /// Accounts that may make volumes of it.
    pub shared: BTreeSet<String>,
    /// How long EC2 calls it pending after it is complete.
    completing: Duration,
    /// `None`: not kept.
    data: Option<File>,
}

impl Snapshot {
    pub fn status(&self) -> Status {
        match (&self.failed, self.completed) {
            (Some(why), _) => Status::Error(why.clone()),
            (None, None) => Status::Pending,
            (None, Some(at)) if at.elapsed() < self.completing => Status::Completing,
            (None, Some(_)) => Status::Completed,
        }
    }

    pub fn put(&mut self, nr: u32, bytes: &[u8], digest: [u8; 32]) {
        if let Some(data) = &self.data {
            data.write_all_at(bytes, u64::from(nr) * BLOCK as u64)
                .unwrap();
        }
        self.digests.insert(nr, digest);
    }

    pub fn block(&self, nr: u32) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        let at = u64::from(nr) * BLOCK as u64;
        let data = self.data.as_ref().unwrap();
        // Past the last block that was put, the file ends.
        let mut got = 0;
        while got < BLOCK {
            match data.read_at(&mut bytes[got..], at + got as u64).unwrap() {
                0 => break,
                n => got += n,
            }
        }
        bytes
    }

    pub fn linear(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        self.digests.values().for_each(|d| hasher.update(d));
        hasher.finalize().into()
    }
}

/// How the fake behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// For how long a new snapshot is not found.
    pub settling: Duration,
    /// For how long EC2 calls a complete snapshot pending.
    pub completing: Duration,
    /// For how long a block is being written.
    pub writing: Duration,
    /// Whether a block's checksum is taken on trust.
    pub trusting: bool,
    /// What the fake's clock is ahead of this machine's.
    pub ahead: Duration,
    /// What it is behind.
    pub behind: Duration,
    /// Encryption by default, as an account may have it.
    pub encrypts: bool,
    /// Whether blocks are kept; else there are their digests alone.
    pub keeps: bool,
    /// For how long an AMI is pending.
    pub pending: Duration,
    /// AMIs fail when they were pending.
    pub images_fail: bool,
    /// DeregisterImage deletes no snapshots, whatever it is told.
    pub leaves_snapshots: bool,
    /// Somebody protects every AMI as soon as it is made.
    pub protects: bool,
    /// The account makes no AMI public.
    pub public_blocked: bool,
}

impl Manner {
    /// What the fake's clock says.
    pub fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead - self.behind
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            settling: Duration::ZERO,
            completing: Duration::ZERO,
            writing: Duration::ZERO,
            trusting: false,
            ahead: Duration::ZERO,
            behind: Duration::ZERO,
            encrypts: false,
            keeps: true,
            pending: Duration::ZERO,
            images_fail: false,
            leaves_snapshots: false,
            protects: false,
            public_blocked: false,
        }
    }
}

#[derive(Default)]
pub struct State {
    pub manner: Manner,
    pub faults: Faults,
    pub snapshots: Vec<Snapshot>,
    pub images: Vec<Ami>,
    pub imports: super::imports::Imports,
    /// Launch templates, and the AMI of each of their versions.
    pub templates: BTreeMap<String, Vec<String>>,
    /// Of Systems Manager, by region and name.
    pub parameters: BTreeMap<(String, String), String>,
    /// Requests, of whatever kind.
    pub requests: u64,
    pub instances: BTreeMap<String, Instance>,
    /// Blocks that were put, repeated ones too.
    pub puts: u64,
    /// Of them, those of blocks with more in them than zeros.
    pub matters: u64,
    /// Requests in flight at once, at most.
    pub widest: u64,
    /// Ids of the keys that requests were signed with.
    pub keys: BTreeSet<String>,
    /// What was refused, for messages of failed tests.
    pub refusals: Vec<String>,
}

impl State {
    /// A snapshot that a request may name.
    pub fn known(&mut self, id: &str) -> Option<&mut Snapshot> {
        let settling = self.manner.settling;
        let mut all = self.snapshots.iter_mut();
        let found = all.find(|s| s.id == id)?;
        (!found.deleted && found.started.elapsed() >= settling).then_some(found)
    }

    pub fn get(&self, id: &str) -> &Snapshot {
        self.snapshots.iter().find(|s| s.id == id).unwrap()
    }

    pub fn start(&mut self, request: serde_json::Value, encrypted: bool) -> &Snapshot {
        let text = |name: &str| request[name].as_str().map(ToOwned::to_owned);
        let tags = request["Tags"].as_array().cloned().unwrap_or_default();
        let pair = |t: &serde_json::Value| {
            let text = |n: &str| t[n].as_str().unwrap().to_owned();
            (text("Key"), text("Value"))
        };
        let snapshot = Snapshot {
            id: format!(
                "snap-{:017x}",
                0xfa_ce00_0000_u64 + self.snapshots.len() as u64
            ),
            token: text("ClientToken").unwrap_or_default(),
            gibibytes: request["VolumeSize"].as_u64().unwrap(),
            parent: text("ParentSnapshotId"),
            encrypted,
            tags: tags.iter().map(pair).collect(),
            started: Instant::now(),
            start_time: self.manner.now(),
            digests: BTreeMap::new(),
            completed: None,
            failed: None,
            deleted: false,
            shared: BTreeSet::new(),
            completing: self.manner.completing,
            data: self.manner.keeps.then(|| tempfile::tempfile().unwrap()),
            request,
        };
        self.snapshots.push(snapshot);
        self.snapshots.last().unwrap()
    }

    /// The blocks of a snapshot and of those it inherits from: number and whose.
    pub fn blocks(&self, id: &str) -> BTreeMap<u32, &Snapshot> {
        let snapshot = self.get(id);
        let mut blocks = match &snapshot.parent {
            Some(parent) => self.blocks(parent),
            None => BTreeMap::new(),
        };
        blocks.extend(snapshot.digests.keys().map(|nr| (*nr, snapshot)));
        blocks
    }

    /// What a volume made of a completed snapshot reads as: on an encrypted one, a block that nobody wrote is
    /// what decrypting zeros gives.
    pub fn volume(&self, id: &str, into: &File, len: u64) {
        let snapshot = self.get(id);
        assert_eq!(snapshot.status(), Status::Completed, "{id}");
        let blocks = self.blocks(id);
        into.set_len(len).unwrap();
        for nr in 0..len.div_ceil(BLOCK as u64) {
            let number = u32::try_from(nr).unwrap();
            let mut bytes = match blocks.get(&number) {
                Some(of) => of.block(number),
                None if snapshot.encrypted => garbage(nr),
                None => continue,
            };
            bytes.truncate(
                usize::try_from(len - nr * BLOCK as u64)
                    .unwrap_or(BLOCK)
                    .min(BLOCK),
            );
            into.write_all_at(&bytes, nr * BLOCK as u64).unwrap();
        }
    }
}

fn garbage(nr: u64) -> Vec<u8> {
    let mut z = nr.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; BLOCK];
    for word in bytes.chunks_exact_mut(8) {
        z ^= z << 13;
        z ^= z >> 7;
        z ^= z << 17;
        word.copy_from_slice(&z.to_le_bytes());
    }
    bytes
}
