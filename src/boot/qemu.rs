//! The machine: qemu's command line.

use super::firmware::{self, Flash};
use super::probe::{self, Kvm};
use super::{BootError, Loaders};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The virtual machine to boot the image in. Defaults are a small Nitro instance.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Processor; from the image's loaders when `None`.
    pub arch: Option<Arch>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub cpus: u32,
    /// KVM or TCG.
    pub accel: Accel,
    /// What starts the loader.
    pub firmware: Firmware,
    /// How the guest sees the image.
    pub disk: Disk,
    /// Network card.
    pub network: Network,
    /// Take a picture of the guest's screen before qemu ends.
    pub screen: bool,
    /// Let the guest write to the image itself. Otherwise it writes to an overlay that is thrown away.
    pub persist: bool,
    /// qemu to run; the one in `PATH` when `None`.
    pub qemu: Option<PathBuf>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            arch: None,
            memory_mib: 1024,
            cpus: 2,
            accel: Accel::Auto,
            firmware: Firmware::Auto,
            disk: Disk::Nvme,
            network: Network::None,
            screen: false,
            persist: false,
            qemu: None,
        }
    }
}

/// Processor of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// amd64.
    X86_64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// The word for it: `x86_64`, `arm64`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// What UEFI starts from a disk that it knows nothing of (UEFI 2.10 §3.5.1.1).
    pub(super) const fn removable_path(self) -> &'static str {
        match self {
            Self::X86_64 => "EFI/BOOT/BOOTX64.EFI",
            Self::Arm64 => "EFI/BOOT/BOOTAA64.EFI",
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
    /// UEFI where the image has a loader for it, as EC2's `uefi-preferred`; else BIOS.
    Auto,
    /// SeaBIOS, qemu's own default: boots from the MBR.
    Bios,
    /// OVMF or AAVMF, with empty variables.
    Uefi,
    /// The same with Secure Boot on and Microsoft's keys.
    Secure,
}

impl Firmware {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bios => "bios",
            Self::Uefi => "uefi",
            Self::Secure => "secure",
        }
    }
}

/// The guest's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// NVMe, as EBS volumes of Nitro instances are.
    Nvme,
    /// virtio-blk, as most other clouds have it.
    Virtio,
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

/// What is run, once image and host have been looked at.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) program: PathBuf,
    pub(super) arch: Arch,
    /// Never [`Firmware::Auto`].
    pub(super) firmware: Firmware,
    /// qemu's driver for the image's format.
    driver: &'static str,
    flash: Option<Flash>,
    kvm: bool,
}

impl Machine {
    /// Looks for qemu and firmware that can start what `image` has.
    pub(super) fn choose(
        &self,
        image: &Path,
        driver: &'static str,
        loaders: &Loaders,
    ) -> Result<Chosen, BootError> {
        let (bios, uefi) = (loaders.bios, &loaders.uefi);
        let only_arm = !bios && uefi == &[Arch::Arm64];
        let arch = self
            .arch
            .unwrap_or(if only_arm { Arch::Arm64 } else { Arch::X86_64 });
        let program = match &self.qemu {
            Some(program) => program.clone(),
            None => probe::find_qemu(arch)?,
        };
        let none = |why| BootError::NoLoader {
            path: image.into(),
            how: match self.firmware {
                Firmware::Auto => format!("on {}", arch.word()),
                known => format!("with --firmware {} on {}", known.word(), arch.word()),
            },
            why,
        };
        let flash = |secure| firmware::find(arch, secure, &program);
        let bios = bios && arch == Arch::X86_64;
        let no_bios = match arch {
            Arch::X86_64 => "sector 0 has no boot code",
            Arch::Arm64 => "arm64 has no BIOS",
        };
        let no_uefi = match arch {
            Arch::X86_64 => "no EFI system partition has EFI/BOOT/BOOTX64.EFI",
            Arch::Arm64 => "no EFI system partition has EFI/BOOT/BOOTAA64.EFI",
        };
        let (firmware, flash) = match self.firmware {
            Firmware::Auto if uefi.contains(&arch) => match flash(false) {
                Ok(flash) => (Firmware::Uefi, Some(flash)),
                Err(_) if bios => (Firmware::Bios, None),
                Err(error) => return Err(error),
            },
            Firmware::Auto if bios => (Firmware::Bios, None),
            Firmware::Auto if arch == Arch::X86_64 => {
                return Err(none(
                    "sector 0 has no boot code, and no EFI system partition has EFI/BOOT/BOOTX64.EFI",
                ));
            }
            Firmware::Bios if bios => (Firmware::Bios, None),
            Firmware::Bios => return Err(none(no_bios)),
            known @ (Firmware::Uefi | Firmware::Secure) if uefi.contains(&arch) => {
                (known, Some(flash(known == Firmware::Secure)?))
            }
            Firmware::Auto | Firmware::Uefi | Firmware::Secure => return Err(none(no_uefi)),
        };
        let kvm = match self.accel {
            Accel::Tcg => false,
            Accel::Auto => arch == Arch::X86_64 && probe::probe_kvm(&program) == Kvm::Fast,
            Accel::Kvm => match probe::probe_kvm(&program) {
                Kvm::Fast | Kvm::Slow if arch == Arch::X86_64 => true,
                _ => return Err(BootError::NoKvm),
            },
        };
        Ok(Chosen {
            program,
            arch,
            firmware,
            driver,
            flash,
            kvm,
        })
    }

    /// The command that boots `image`, its serial port on standard input and output, qemu's control socket
    /// at `qmp`.
    pub(super) fn command(
        &self,
        chosen: &Chosen,
        image: &Path,
        input: Input,
        qmp: Option<&Path>,
    ) -> Command {
        let mut command = Command::new(&chosen.program);
        command.args(self.arguments(chosen, image, input, qmp));
        command
    }

    fn arguments(
        &self,
        chosen: &Chosen,
        image: &Path,
        input: Input,
        qmp: Option<&Path>,
    ) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |list: &[&str]| args.extend(list.iter().map(OsString::from));
        let secure = chosen.firmware == Firmware::Secure;
        add(match chosen.arch {
            // Only code in system management mode may write the variables that Secure Boot trusts.
            Arch::X86_64 if secure => &[
                "-machine",
                "q35,smm=on",
                "-global",
                "driver=cfi.pflash01,property=secure,value=on",
            ],
            Arch::X86_64 => &["-machine", "q35"],
            Arch::Arm64 => &["-machine", "virt"],
        });
        // tb-size: systemd and its libraries overrun TCG's default cache of translations. Under TCG, arm64's
        // `max` takes four times as long as a Cortex-A72: it emulates pointer authentication.
        add(match (chosen.kvm, chosen.arch) {
            (true, _) => &["-accel", "kvm", "-cpu", "host"],
            (false, Arch::X86_64) => &["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"],
            (false, Arch::Arm64) => &[
                "-accel",
                "tcg,thread=multi,tb-size=512",
                "-cpu",
                "cortex-a72",
            ],
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
        if self.screen && chosen.arch == Arch::Arm64 {
            // `virt` has no screen of its own, as Graviton has none.
            add(&["-device", "ramfb"]);
        }
        add(match self.disk {
            Disk::Nvme => &["-device", "nvme,drive=disk,serial=diskwright"],
            Disk::Virtio => &["-device", "virtio-blk-pci,drive=disk,serial=diskwright"],
        });
        args.push("-drive".into());
        args.push(self.drive(chosen.driver, image));
        if let Some(flash) = &chosen.flash {
            args.push("-drive".into());
            args.push(option(
                "if=pflash,unit=0,format=raw,readonly=on,file=",
                &flash.code,
            ));
            // What the guest writes to the variables is thrown away with the overlay.
            args.push("-drive".into());
            args.push(option(
                "if=pflash,unit=1,format=raw,snapshot=on,file=",
                &flash.vars,
            ));
        }
        if let Some(qmp) = qmp {
            args.push("-chardev".into());
            args.push(option("socket,id=qmp,server=on,wait=off,path=", qmp));
            args.extend(["-mon", "chardev=qmp,mode=control"].map(OsString::from));
        }
        args
    }

    /// The value of `-drive` for the image.
    fn drive(&self, driver: &str, image: &Path) -> OsString {
        // Nobody reads the overlay after a crash, so the guest's flushes need not reach the disk.
        let mode = if self.persist {
            "snapshot=off"
        } else {
            "snapshot=on,cache=unsafe"
        };
        let start = format!("if=none,id=disk,format={driver},discard=unmap,{mode},file=");
        option(&start, image)
    }
}

/// The value of an option that ends with a file name, in which a comma is written twice.
fn option(start: &str, path: &Path) -> OsString {
    let mut value = start.as_bytes().to_vec();
    for &byte in path.as_os_str().as_bytes() {
        value.push(byte);
        if byte == b',' {
            value.push(byte);
        }
    }
    OsString::from_vec(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arch: Arch, firmware: Firmware) -> Chosen {
        let flash = || Flash {
            code: "code.fd".into(),
            vars: "vars.fd".into(),
        };
        Chosen {
            program: "qemu".into(),
            arch,
            firmware,
            driver: "raw",
            flash: (firmware != Firmware::Bios).then(flash),
            kvm: false,
        }
    }

    fn line_of(machine: &Machine, chosen: &Chosen, image: &str) -> String {
        let args = machine.arguments(chosen, Path::new(image), Input::Pipe, None);
        args.iter()
            .map(|a| a.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn line(machine: &Machine, image: &str) -> String {
        line_of(machine, &chosen(Arch::X86_64, Firmware::Bios), image)
    }

    #[test]
    fn secure_boot_guards_its_variables_and_arm_has_no_bios() {
        let machine = Machine::default();
        let secure = line_of(&machine, &chosen(Arch::X86_64, Firmware::Secure), "d");
        assert!(secure.contains("smm=on") && secure.contains("property=secure,value=on"));
        assert!(secure.ends_with(
            "-drive if=pflash,unit=0,format=raw,readonly=on,file=code.fd \
             -drive if=pflash,unit=1,format=raw,snapshot=on,file=vars.fd"
        ));
        let arm = line_of(&machine, &chosen(Arch::Arm64, Firmware::Uefi), "d");
        assert!(arm.starts_with("-machine virt -accel tcg") && arm.contains("cortex-a72"));
    }

    #[test]
    fn the_image_decides_what_starts_it() {
        let qemu = || Machine {
            qemu: Some("/nonexistent/qemu".into()),
            accel: Accel::Tcg,
            ..Machine::default()
        };
        let choose = |machine: Machine, bios, uefi: &[Arch]| {
            let uefi = uefi.to_vec();
            let chosen = machine.choose(Path::new("disk.img"), "raw", &Loaders { bios, uefi });
            chosen
                .map(|c| (c.arch, c.firmware))
                .map_err(|e| e.to_string())
        };
        let bios = Ok((Arch::X86_64, Firmware::Bios));
        assert_eq!(choose(qemu(), true, &[]), bios);
        let none = choose(qemu(), false, &[]).unwrap_err();
        assert!(
            none.starts_with("disk.img cannot boot on x86_64: sector 0 has"),
            "{none}"
        );
        let asked = |firmware| Machine { firmware, ..qemu() };
        let none = choose(asked(Firmware::Uefi), true, &[]).unwrap_err();
        assert!(
            none.contains("--firmware uefi") && none.contains("BOOTX64.EFI"),
            "{none}"
        );
        assert_eq!(choose(asked(Firmware::Bios), true, &[Arch::X86_64]), bios);
        let none = choose(asked(Firmware::Bios), false, &[Arch::Arm64]).unwrap_err();
        assert!(none.contains("arm64 has no BIOS"), "{none}");
        let both = Machine {
            arch: Some(Arch::Arm64),
            ..qemu()
        };
        let none = choose(both, true, &[Arch::X86_64]).unwrap_err();
        assert!(none.contains("BOOTAA64.EFI"), "{none}");
    }

    #[test]
    fn default_machine_is_a_nitro_like_guest_on_an_overlay() {
        expect_test::expect![[r#"
            -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max -smp 2 -m 1024 -nic none -display none -no-reboot -monitor none -serial stdio -device nvme,drive=disk,serial=diskwright -drive if=none,id=disk,format=raw,discard=unmap,snapshot=on,cache=unsafe,file=disk.img"#]]
        .assert_eq(&line(&Machine::default(), "disk.img"));
    }

    #[test]
    fn commas_of_a_file_name_reach_qemu() {
        assert!(line(&Machine::default(), "a,b.img").ends_with("file=a,,b.img"));
    }

    #[test]
    fn persist_alone_lets_the_guest_write() {
        let machine = Machine {
            persist: true,
            ..Machine::default()
        };
        assert!(line(&machine, "disk.img").contains("snapshot=off"));
    }

    #[test]
    fn an_image_that_looks_like_a_protocol_is_a_path() {
        // `run` hands over canonical paths: qemu would take `nbd:x` for a network disk.
        assert!(line(&Machine::default(), "/w/nbd:x.img").ends_with("file=/w/nbd:x.img"));
    }
}
