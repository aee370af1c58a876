//! What each rule looks for; [`super::catalogue`] says the rest.

mod boot;
mod config;
mod leftovers;
mod secrets;
mod state;

use super::facts::Facts;
use super::{Hit, Target};

/// What the rule of an id finds.
pub(super) fn run(id: &str, facts: &Facts, target: Target) -> Vec<Hit> {
    match id {
        "A001" => boot::serial_console(facts),
        "A002" => boot::stable_root(facts),
        "A003" => boot::drivers(facts),
        "A004" => boot::grub_reads_root(facts),
        "A005" => boot::fallback_loader(facts),
        "A006" => boot::some_loader(facts),
        "A007" => secrets::machine_id(facts),
        "A008" => secrets::host_keys(facts),
        "A009" => secrets::people(facts, target),
        "A010" => config::fstab(facts),
        "A011" => config::network_and_growth(facts),
        "A012" => leftovers::build_machine(facts),
        "A013" => state::capabilities(facts),
        "A014" => state::setuid(facts),
        "A015" => state::future(facts),
        "A016" => state::whole_gib(facts),
        "A017" => state::holes(facts),
        "A018" => boot::modules(facts),
        "A019" => config::imds(facts),
        "A020" => leftovers::container(facts),
        _ => Vec::new(),
    }
}
