//! What an image of PV-GRUB needs: its menu, and kernels that it reads.

use super::BuildError;
use super::editor::Editor;
use super::wanted::{KERNEL_MAX, MENU_LST};
use crate::grub::{Config, KernelEntry, bears_marker, menu_lst, pv_kernel};

/// Where kernels lie that were compressed anew. They boot under Xen's PV alone, and `update-grub` offers every
/// `vmlinuz-*` that lies in /boot itself.
const KERNELS: &str = "boot/grub/pv";
/// A menu that came with the rootfs.
const MENU_LST_ORIG: &str = "boot/grub/menu.lst.orig";

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
    let file = editor.ingest.read_to(path.as_bytes(), KERNEL_MAX)?;
    let Some(packed) = pv_kernel(path, &file.unwrap_or_default())? else {
        return Ok(kernel);
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let place = format!("{KERNELS}/{name}");
    editor.write(&place, packed)?;
    Ok(KernelEntry {
        kernel_path: format!("/{place}"),
        ..kernel
    })
}
