// SPDX-License-Identifier: GPL-2.0

//! The scenarios: the scripts of `lab/`, and what their heads say about them.

/// The scripts, as the shell finds them beside each other.
pub(super) const SCRIPTS: [(&str, &str); 21] = [
    ("container", include_str!("../../../lab/container.sh")),
    ("docker", include_str!("../../../lab/docker.sh")),
    ("lib", include_str!("../../../lab/lib.sh")),
    ("pair", include_str!("../../../lab/pair.sh")),
    ("s1", include_str!("../../../lab/s1.sh")),
    ("s2", include_str!("../../../lab/s2.sh")),
    ("s3", include_str!("../../../lab/s3.sh")),
    ("s4", include_str!("../../../lab/s4.sh")),
    ("s5", include_str!("../../../lab/s5.sh")),
    ("s6", include_str!("../../../lab/s6.sh")),
    ("s7", include_str!("../../../lab/s7.sh")),
    ("s8", include_str!("../../../lab/s8.sh")),
    ("s9", include_str!("../../../lab/s9.sh")),
    ("s10", include_str!("../../../lab/s10.sh")),
    ("s11", include_str!("../../../lab/s11.sh")),
    ("s12", include_str!("../../../lab/s12.sh")),
    ("s13", include_str!("../../../lab/s13.sh")),
    ("s14", include_str!("../../../lab/s14.sh")),
    ("s15", include_str!("../../../lab/s15.sh")),
    ("s16", include_str!("../../../lab/s16.sh")),
    ("s17", include_str!("../../../lab/s17.sh")),
];

/// What process 1 of a lab runs.
pub(super) const SANDBOX: &str = include_str!("../../../lab/sandbox.sh");

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    /// The name of its script: `s1`.
    pub(super) id: &'static str,
    script: &'static str,
}

impl Scenario {
    /// All, in their order.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let scenarios = SCRIPTS
            .iter()
            .filter(|(_, script)| heading(script).is_some());
        scenarios.map(|&(id, script)| Self { id, script })
    }

    /// The one of that name, as `S1` or `s1`.
    pub(super) fn find(name: &str) -> Option<Self> {
        Self::all().find(|scenario| scenario.id.eq_ignore_ascii_case(name))
    }

    /// `S1`
    pub(super) fn name(self) -> &'static str {
        heading(self.script).map_or(self.id, |(name, _)| name)
    }

    /// What it is, in a line.
    pub(super) fn about(self) -> &'static str {
        heading(self.script).map_or("", |(_, about)| about)
    }

    /// What it is in full, with its drawing.
    pub(super) fn description(self) -> String {
        let lines = comment(self.script).skip_while(|line| !line.starts_with(self.name()));
        let lines = lines.take_while(|line| !line.starts_with("variants: "));
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// What it can be brought up as; the first is the usual one.
    pub(super) fn variants(self) -> Vec<&'static str> {
        self.words("variants")
    }

    /// The ports of its traffic.
    pub(super) fn ports(self) -> Vec<&'static str> {
        self.words("ports")
    }

    /// Kernel modules that it needs.
    pub(super) fn modules(self) -> Vec<&'static str> {
        self.words("modules")
    }

    /// Programs that it needs.
    pub(super) fn programs(self) -> Vec<&'static str> {
        self.words("programs")
    }

    /// Why only root can run it.
    pub(super) fn root(self) -> Option<&'static str> {
        self.value("root")
    }

    fn words(self, key: &str) -> Vec<&'static str> {
        self.value(key)
            .unwrap_or_default()
            .split_whitespace()
            .collect()
    }

    fn value(self, key: &str) -> Option<&'static str> {
        comment(self.script)
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .map(str::trim)
    }
}

/// The comment at the top.
fn comment(script: &'static str) -> impl Iterator<Item = &'static str> {
    let lines = script.lines().take_while(|line| line.starts_with('#'));
    lines.map(|line| {
        line.strip_prefix("# ")
            .unwrap_or_else(|| line.trim_start_matches('#'))
    })
}

/// `S1: what it is`; a script that scenarios share has none.
fn heading(script: &'static str) -> Option<(&'static str, &'static str)> {
    comment(script).find_map(|line| {
        let (name, about) = line.split_once(": ")?;
        let number = name.strip_prefix('S')?;
        number.parse::<u8>().ok().map(|_| (name, about))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_folder_is_there_and_says_what_a_scenario_must_say() {
        for entry in std::fs::read_dir("../lab").unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(id) = name.strip_suffix(".sh") else {
                continue;
            };
            let embedded = id == "sandbox" || SCRIPTS.iter().any(|(script, _)| *script == id);
            assert!(embedded, "{name} is not embedded");
        }
        for scenario in Scenario::all() {
            let id = scenario.id;
            assert_eq!(scenario.name().to_lowercase(), id);
            assert!(
                !scenario.about().is_empty() && scenario.about().len() < 80,
                "{id}"
            );
            assert!(scenario.description().contains("+--"), "{id} has a drawing");
            assert!(!scenario.variants().is_empty(), "{id}");
            assert!(!scenario.ports().is_empty(), "{id}");
            assert!(scenario.programs().contains(&"ip"), "{id}");
        }
        // But for lib.sh, pair.sh, container.sh and docker.sh.
        assert_eq!(Scenario::all().count(), SCRIPTS.len() - 4);
    }

    #[test]
    fn a_scenario_is_found_by_its_name_in_either_case() {
        assert_eq!(Scenario::find("S12").map(|found| found.id), Some("s12"));
        assert_eq!(Scenario::find("s12").map(|found| found.id), Some("s12"));
        assert!(Scenario::find("lib").is_none());
    }
}
