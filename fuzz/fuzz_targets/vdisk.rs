//! Invariants: no file makes a reader of images panic, loop or hold memory out of proportion, and an error is
//! printable. The first byte chooses: the rest is the file, or changes to a small image of some format: three bytes
//! for the place, from either end, one for what stands there then.

#![no_main]

#[path = "../../tests/it/common/vdisk_probe.rs"]
mod vdisk_probe;

use diskwright::image::Disk;
use diskwright::observe::Silent;
use diskwright::sink::format::write;
use diskwright::vdisk::Format;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut disk = Disk::new(1 << 20).expect("whole sectors");
    let noise: Vec<u8> = (0..90_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    disk.put_bytes(0, noise).expect("room");
    disk.put_bytes(600_000, &b"text "[..]).expect("room");
    let made = Format::ALL.iter().map(|&format| {
        let mut out = Vec::new();
        write(format, &disk, &mut out, &Silent).expect("memory");
        out
    });
    made.collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else {
        return;
    };
    let Some(image) = IMAGES.get(usize::from(kind)) else {
        vdisk_probe::probe(data.to_vec());
        return;
    };
    let mut bytes = image.clone();
    for change in data.chunks_exact(4) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], 0]);
        let (end, place) = (
            place & 1 == 1,
            usize::try_from(place >> 1).expect("64 bits") % bytes.len(),
        );
        let place = if end { bytes.len() - 1 - place } else { place };
        bytes[place] = change[3];
    }
    vdisk_probe::probe(bytes);
});
