//! What an image of PV-GRUB needs: its menu, and kernels that it reads.

use super::BuildError;
use super::editor::Editor;
use super::wanted::{KERNEL_MAX, MENU_LST, trimmed};
use crate::entry::{Entry, EntryKind};
use crate::grub::{Config, GrubError, KernelEntry, bears_marker, menu_lst, pv_kernel};
use crate::tree::DataId;
use crate::units::index;
use bytes::Bytes;
use std::thread::JoinHandle;

/// Where kernels lie that were compressed anew. They boot under Xen's PV alone, and `update-grub` offers every
/// `vmlinuz-*` that lies in /boot itself.
const KERNELS: &str = "boot/grub/pv";
/// A menu that came with the rootfs.
const MENU_LST_ORIG: &str = "boot/grub/menu.lst.orig";

/// Kernels that are worked on beside the archive, at most: each takes five times its size of memory.
const AHEAD: usize = 2;

/// A kernel in the making, or `None` for one that PV-GRUB reads.
type Made = Result<Option<Vec<Bytes>>, GrubError>;

/// Kernels that are compressed anew, each on a thread of its own: it takes as long as to read a small archive.
#[derive(Debug, Default)]
pub(super) struct Ahead(Vec<(DataId, JoinHandle<Made>)>);

impl Ahead {
    /// For one more, if there is room and it lies in the archive as a whole.
    pub(super) fn buffer(&self, entry: &Entry) -> Option<Vec<u8>> {
        match entry.kind {
            EntryKind::File { size, data: None } if self.0.len() < AHEAD && size <= KERNEL_MAX => {
                Some(Vec::with_capacity(index(size)))
            }
            _ => None,
        }
    }

    pub(super) fn start(&mut self, id: DataId, path: &[u8], kernel: Vec<u8>) {
        let path = format!("/{}", String::from_utf8_lossy(trimmed(path)));
        let thread = std::thread::spawn(move || pv_kernel(&path, &kernel));
        self.0.push((id, thread));
    }

    /// What was made of the file with this data, if it was begun.
    fn finish(&mut self, id: DataId) -> Option<Made> {
        let at = self.0.iter().position(|(data, _)| *data == id)?;
        match self.0.swap_remove(at).1.join() {
            Ok(made) => Some(made),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Puts the menu and the kernels into the tree.
///
/// # Errors
/// PV-GRUB could not start the newest kernel.
pub(super) fn prepare(editor: &mut Editor<'_, '_>, mut config: Config) -> Result<(), BuildError> {
    let mut kernels = Vec::new();
    for kernel in config.kernels {
        match for_pv(editor, kernel) {
            Ok(kernel) => kernels.push(kernel),
            Err(BuildError::Grub(e)) if !kernels.is_empty() => {
                editor.ingest.warn(&format!("{e}: it is not in the menu"));
            }
            Err(e) => return Err(e),
        }
    }
    config.kernels = kernels;
    if let Some(own) = editor.ingest.read(MENU_LST.as_bytes())?
        && !bears_marker(&own)
    {
        editor.ingest.warn(&format!(
            "/{MENU_LST} of the rootfs is replaced, and kept as /{MENU_LST_ORIG}"
        ));
        editor.write(MENU_LST_ORIG, own)?;
    }
    editor.write(MENU_LST, menu_lst(&config)?.into_bytes())
}

/// The same entry with a kernel that PV-GRUB reads.
fn for_pv(editor: &mut Editor<'_, '_>, kernel: KernelEntry) -> Result<KernelEntry, BuildError> {
    let path = kernel.kernel_path.as_str();
    let data = editor.ingest.data_of(path.as_bytes());
    let ahead = &mut editor.ingest.kernels;
    let packed = match data.zip(ahead.as_mut()).and_then(|(id, a)| a.finish(id)) {
        Some(made) => made?,
        None => {
            let file = editor.ingest.read_to(path.as_bytes(), KERNEL_MAX)?;
            pv_kernel(path, &file.unwrap_or_default())?
        }
    };
    let Some(packed) = packed else {
        return Ok(kernel);
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let place = format!("{KERNELS}/{name}");
    editor.write_pieces(&place, packed)?;
    Ok(KernelEntry {
        kernel_path: format!("/{place}"),
        ..kernel
    })
}
