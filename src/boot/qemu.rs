//! The machine: qemu's command line.

use super::BootError;
use super::probe::{self, Kvm};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The virtual machine to boot the image in. Defaults are a small Nitro instance.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub cpus: u32,
    /// KVM or TCG.
    pub accel: Accel,
    /// BIOS; UEFI will come.
    pub firmware: Firmware,
    /// Network card.
    pub network: Network,
    /// Let the guest write to the image itself. Otherwise it writes to an overlay that is thrown away.
    pub persist: bool,
    /// qemu to run; the one in `PATH` when `None`.
    pub qemu: Option<PathBuf>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            memory_mib: 1024,
            cpus: 2,
            accel: Accel::Auto,
            firmware: Firmware::Bios,
            network: Network::None,
            persist: false,
            qemu: None,
        }
    }
}

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// KVM where it runs a guest at the processor's speed, else TCG.
    Auto,
    /// KVM, however slow; an error where it does not work.
    Kvm,
    /// qemu's translator: slower, needs nothing.
    Tcg,
}

/// The guest's firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, qemu's own default: boots from the MBR.
    Bios,
}

/// The guest's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// No card: nothing in the guest waits for one.
    None,
    /// qemu's user-mode network, which needs no privilege.
    User,
}

/// Who owns qemu's standard input, and so the guest's keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The person at the terminal; Ctrl-A X ends qemu.
    Terminal,
    /// A script.
    Pipe,
}

impl Machine {
    /// The command that boots `image`, its serial port on standard input and output.
    pub(super) fn command(&self, image: &Path, input: Input) -> Result<Command, BootError> {
        let program = match &self.qemu {
            Some(program) => program.clone(),
            None => probe::find_qemu()?,
        };
        let kvm = match self.accel {
            Accel::Tcg => false,
            Accel::Auto => probe::probe_kvm(&program) == Kvm::Fast,
            Accel::Kvm if probe::probe_kvm(&program) == Kvm::Absent => {
                return Err(BootError::NoKvm);
            }
            Accel::Kvm => true,
        };
        let mut command = Command::new(program);
        command.args(self.arguments(image, input, kvm));
        Ok(command)
    }

    fn arguments(&self, image: &Path, input: Input, kvm: bool) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |list: &[&str]| args.extend(list.iter().map(OsString::from));
        match self.firmware {
            Firmware::Bios => add(&["-machine", "q35"]),
        }
        // tb-size: systemd and its libraries overrun TCG's default cache of translations.
        add(if kvm {
            &["-accel", "kvm", "-cpu", "host"]
        } else {
            &["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"]
        });
        add(&[
            "-smp",
            &self.cpus.to_string(),
            "-m",
            &self.memory_mib.to_string(),
        ]);
        add(match self.network {
            Network::None => &["-nic", "none"],
            Network::User => &["-nic", "user,model=virtio-net-pci"],
        });
        // With no-reboot, panic=-1 and `reboot` both end qemu, so a guest never starts over unseen.
        add(&["-display", "none", "-no-reboot"]);
        add(match input {
            Input::Terminal => &["-serial", "mon:stdio"],
            Input::Pipe => &["-monitor", "none", "-serial", "stdio"],
        });
        add(&["-device", "nvme,drive=disk,serial=diskwright", "-drive"]);
        args.push(self.drive(image));
        args
    }

    /// The value of `-drive`; in it a comma of a file name is written twice.
    fn drive(&self, image: &Path) -> OsString {
        let mut value = b"if=none,id=disk,format=raw,discard=unmap,".to_vec();
        // Nobody reads the overlay after a crash, so the guest's flushes need not reach the disk.
        value.extend_from_slice(if self.persist {
            b"snapshot=off,"
        } else {
            b"snapshot=on,cache=unsafe,"
        });
        value.extend_from_slice(b"file=");
        for &byte in image.as_os_str().as_bytes() {
            value.push(byte);
            if byte == b',' {
                value.push(byte);
            }
        }
        OsString::from_vec(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(machine: &Machine, image: &str, kvm: bool) -> String {
        let args = machine.arguments(Path::new(image), Input::Pipe, kvm);
        args.iter()
            .map(|a| a.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn default_machine_is_a_nitro_like_guest_on_an_overlay() {
        expect_test::expect![[r#"
            -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max -smp 2 -m 1024 -nic none -display none -no-reboot -monitor none -serial stdio -device nvme,drive=disk,serial=diskwright -drive if=none,id=disk,format=raw,discard=unmap,snapshot=on,cache=unsafe,file=disk.img"#]]
        .assert_eq(&line(&Machine::default(), "disk.img", false));
    }

    #[test]
    fn commas_of_a_file_name_reach_qemu() {
        assert!(line(&Machine::default(), "a,b.img", true).ends_with("file=a,,b.img"));
    }

    #[test]
    fn persist_alone_lets_the_guest_write() {
        let machine = Machine {
            persist: true,
            ..Machine::default()
        };
        assert!(line(&machine, "disk.img", true).contains("snapshot=off"));
    }

    #[test]
    fn an_image_that_looks_like_a_protocol_is_a_path() {
        // `run` hands over canonical paths: qemu would take `nbd:x` for a network disk.
        assert!(line(&Machine::default(), "/w/nbd:x.img", true).ends_with("file=/w/nbd:x.img"));
    }
}
