//! `diskwright aki`: which kernel image of EC2 starts an image of `--boot pv`.

use super::exit::{self, Code, Usage};
use diskwright::grub::{AkiArch, aki, akis};

const EXAMPLES: &str = "\
Examples:
  diskwright aki --region eu-west-1
  aws ec2 register-image --kernel-id \"$(diskwright aki --region eu-west-1)\" …";

/// Print the PV-GRUB (AKI) of a region, to register an image of --boot pv with
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Region of EC2
    #[arg(long)]
    region: String,

    /// Architecture of the image's kernel
    #[arg(long, value_enum, default_value = "x86_64")]
    arch: ArchArg,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ArchArg {
    #[value(name = "x86_64", alias = "amd64")]
    X86_64,
    I386,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let arch = match args.arch {
        ArchArg::X86_64 => AkiArch::X86_64,
        ArchArg::I386 => AkiArch::I386,
    };
    let Some(found) = aki(&args.region, arch) else {
        let known: Vec<_> = akis(arch).map(|a| a.region).collect();
        let why = format!(
            "no PV-GRUB for this architecture in the region `{}`",
            args.region
        );
        return Err(Usage::with_help(why, format!("one of {}", known.join(", "))).into());
    };
    if args.json {
        exit::print_json(&found)?;
    } else {
        exit::print(&format!("{}\n", found.aki))?;
    }
    Ok(Code::Done)
}
