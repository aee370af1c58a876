//! moddep.lst, and the order in which core.img carries its modules.
//!
//! A module may only follow those it depends on. Among the many orders that allow it this one is
//! grub-mkimage's: depth first, a module's dependencies from the last to the first, then itself.

use std::collections::BTreeMap;

use super::GrubError;

/// The modules of a core.img in the order of loading: `wanted` and all they depend on, each once.
///
/// `moddep` is the text of moddep.lst: a line `name: dependency …` for every module.
///
/// # Errors
///
/// A module that moddep.lst does not know, a circle, a line that is none of its kind.
pub fn load_order(moddep: &str, wanted: &[&str]) -> Result<Vec<String>, GrubError> {
    let deps = parse(moddep)?;
    let mut walk = Walk {
        deps: &deps,
        state: BTreeMap::new(),
        order: Vec::new(),
    };
    for module in wanted {
        walk.visit(module)?;
    }
    Ok(walk.order)
}

/// The names on each line of moddep.lst, by the one in front.
pub(super) fn parse(moddep: &str) -> Result<BTreeMap<&str, Vec<&str>>, GrubError> {
    let mut deps = BTreeMap::new();
    for (n, line) in (1..).zip(moddep.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let bad = || GrubError::Moddep {
            line: n,
            text: line.chars().take(60).collect(),
        };
        let (name, rest) = line.split_once(':').ok_or_else(bad)?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(bad());
        }
        deps.insert(name, rest.split_whitespace().collect());
    }
    Ok(deps)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
}

struct Walk<'a> {
    deps: &'a BTreeMap<&'a str, Vec<&'a str>>,
    state: BTreeMap<&'a str, State>,
    order: Vec<String>,
}

impl<'a> Walk<'a> {
    /// Post-order from `root`, on a stack of its own: the file decides how deep it goes.
    fn visit(&mut self, root: &str) -> Result<(), GrubError> {
        let mut stack: Vec<(&'a str, std::slice::Iter<'a, &'a str>)> = Vec::new();
        stack.extend(self.enter(root, None)?);
        while let Some((module, rest)) = stack.last_mut() {
            let module = *module;
            if let Some(dep) = rest.next_back() {
                stack.extend(self.enter(dep, Some(module))?);
            } else {
                stack.pop();
                self.state.insert(module, State::Done);
                self.order.push(module.to_owned());
            }
        }
        Ok(())
    }

    /// The frame of a module met for the first time, `None` for one that is loaded already.
    fn enter(
        &mut self,
        module: &str,
        needed_by: Option<&str>,
    ) -> Result<Option<(&'a str, std::slice::Iter<'a, &'a str>)>, GrubError> {
        let Some((&name, deps)) = self.deps.get_key_value(module) else {
            return Err(GrubError::UnknownModule {
                module: module.to_owned(),
                needed_by: needed_by.map(str::to_owned),
            });
        };
        match self.state.insert(name, State::Open) {
            None => Ok(Some((name, deps.iter()))),
            Some(State::Open) => Err(GrubError::ModuleCycle {
                module: name.to_owned(),
            }),
            Some(State::Done) => {
                self.state.insert(name, State::Done);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dependencies_come_first_last_named_first() {
        let moddep = "ext2: fshelp\nfshelp:\npart_msdos:\nbiosdisk:\nlinux: a b\na: b\nb:\n";
        assert_eq!(
            load_order(moddep, &["ext2", "part_msdos", "biosdisk", "ext2"]).unwrap(),
            ["fshelp", "ext2", "part_msdos", "biosdisk"]
        );
        assert_eq!(load_order(moddep, &["linux"]).unwrap(), ["b", "a", "linux"]);
    }

    #[test]
    fn errors_name_the_module_and_who_needs_it() {
        let err = load_order("ext2: fshelp\n", &["ext2"])
            .unwrap_err()
            .to_string();
        assert!(
            err.contains("`fshelp`") && err.contains("needed by `ext2`"),
            "{err}"
        );
        let err = load_order("", &["zfs"]).unwrap_err().to_string();
        assert!(err.contains("`zfs` is not in"), "{err}");
        assert!(matches!(
            load_order("a: b\nb: a\n", &["a"]),
            Err(GrubError::ModuleCycle { .. })
        ));
        assert!(matches!(
            load_order("a:\nnonsense\n", &["a"]),
            Err(GrubError::Moddep { line: 2, .. })
        ));
        assert!(matches!(
            load_order("../a:\n", &[]),
            Err(GrubError::Moddep { line: 1, .. })
        ));
    }

    #[test]
    fn a_chain_of_any_depth_needs_no_stack() {
        let mut moddep: String = (0..200_000)
            .map(|n| format!("m{n}: m{}\n", n + 1))
            .collect();
        moddep.push_str("m200000:\n");
        assert_eq!(load_order(&moddep, &["m0"]).unwrap().len(), 200_001);
    }

    proptest! {
        #[test]
        fn every_order_is_topological_and_complete(
            edges in prop::collection::vec((0usize..30, 0usize..30), 0..120),
            wanted in prop::collection::vec(0usize..30, 1..5),
        ) {
            // An edge from the higher to the lower number: no circles.
            let mut deps = vec![Vec::new(); 30];
            for (a, b) in edges {
                if a != b {
                    deps[a.max(b)].push(a.min(b));
                }
            }
            let moddep: String = deps.iter().enumerate().map(|(n, deps)| {
                let deps: Vec<_> = deps.iter().map(|d| format!("m{d}")).collect();
                format!("m{n}: {}\n", deps.join(" "))
            }).collect();
            let wanted: Vec<_> = wanted.iter().map(|n| format!("m{n}")).collect();
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let order = load_order(&moddep, &wanted).unwrap();
            let at = |name: &str| order.iter().position(|m| m == name);
            for module in &wanted {
                prop_assert!(at(module).is_some());
            }
            for (place, module) in order.iter().enumerate() {
                prop_assert_eq!(at(module), Some(place), "twice");
                let n: usize = module[1..].parse().unwrap();
                for dep in &deps[n] {
                    let dep = format!("m{dep}");
                    prop_assert!(at(&dep).unwrap() < place);
                }
            }
        }

        #[test]
        fn no_text_panics(text in "[a-c:. \n]{0,60}") {
            let _ = load_order(&text, &["a", "b"]);
        }
    }
}
