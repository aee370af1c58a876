//! The command: see `diskwright --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
