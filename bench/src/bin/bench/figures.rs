// SPDX-License-Identifier: GPL-2.0

//! What was measured, and the files in which it is kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use nftrace_tests::checkout::top;
use serde::{Deserialize, Serialize};

use crate::cell::Cell;

/// Of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Instructions a packet takes, or nanoseconds where a processor takes them; the loop of
    /// the benchmark not counted.
    pub(crate) insn: f64,
    /// Packets of the trace, and how many of them were dropped.
    pub(crate) packets: u32,
    pub(crate) dropped: u32,
    /// Instructions, in thousands, or microseconds, of setting the peer up: programs, rules,
    /// registration; 0 where the rules came compiled.
    pub(crate) setup_kinsn: u64,
    /// Of time, the quartiles over the blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) spread: Option<[f64; 2]>,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) qemu: String,
    pub(crate) mitigations: String,
}

impl Machine {
    /// Whether figures of both can be held against each other: the kernel's code is the same,
    /// and what it has patched into itself.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.kernel, &self.cpu, &self.mitigations)
            == (&other.kernel, &other.cpu, &other.mitigations)
    }
}

/// All cells of one model of processor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) machine: Machine,
    /// By the cell's name.
    pub(crate) cells: BTreeMap<String, Figure>,
    /// Cells that there cannot be, and why.
    pub(crate) unable: BTreeMap<String, String>,
    /// What loading costs: thousands of instructions, and bytes.
    #[serde(default)]
    pub(crate) life: BTreeMap<String, i64>,
}

/// The folder of the stored figures.
pub(crate) fn folder() -> PathBuf {
    top().join("bench/results")
}

fn file(cpu: &str) -> String {
    format!("{}.json", cpu.replace(',', "_"))
}

impl Figures {
    pub(crate) fn get(&self, cell: &Cell) -> Option<&Figure> {
        self.cells.get(&cell.to_string())
    }

    /// Instructions a packet.
    pub(crate) fn insn(&self, cell: &Cell) -> Option<f64> {
        self.get(cell).map(|figure| figure.insn)
    }

    /// Those stored in a folder for a model of processor.
    pub(crate) fn load(folder: &Path, cpu: &str) -> Result<Self> {
        let path = folder.join(file(cpu));
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{}: no figures; run `make bench`", path.display()))?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The same; none where nothing is stored.
    pub(crate) fn load_any(folder: &Path, cpu: &str) -> Result<Self> {
        if folder.join(file(cpu)).exists() {
            Self::load(folder, cpu)
        } else {
            Ok(Self::default())
        }
    }

    /// A line for each cell, so that a difference between two runs can be read.
    pub(crate) fn store(&self, folder: &Path, cpu: &str) -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut text = String::from("{\n");
        text += &format!(" \"machine\": {},\n", serde_json::to_string(&self.machine)?);
        text += &format!(" \"cells\": {},\n", lines(&self.cells)?);
        text += &format!(" \"unable\": {},\n", lines(&self.unable)?);
        text += &format!(" \"life\": {}\n}}\n", lines(&self.life)?);
        let path = folder.join(file(cpu));
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Takes in what another run measured of the same machine.
    ///
    /// # Errors
    ///
    /// It is another machine.
    pub(crate) fn merge(&mut self, other: Self) -> Result<()> {
        if other.machine != Machine::default() {
            ensure!(
                self.machine == Machine::default() || self.machine.is_like(&other.machine),
                "measured with kernel {} ({}), while the stored figures are of {} ({}): remove \
                 the stored ones, and measure all anew",
                other.machine.kernel,
                other.machine.mitigations,
                self.machine.kernel,
                self.machine.mitigations
            );
            // What is not like it all the same, such as QEMU's version, is as it was last.
            self.machine = other.machine;
        }
        self.life.extend(other.life);
        // A cell that there is now was not there for a reason that is gone, and the other way.
        self.unable
            .retain(|name, _| !other.cells.contains_key(name));
        self.cells
            .retain(|name, _| !other.unable.contains_key(name));
        self.cells.extend(other.cells);
        self.unable.extend(other.unable);
        Ok(())
    }
}

fn lines<T: Serialize>(map: &BTreeMap<String, T>) -> Result<String> {
    let mut text = String::from("{");
    for (number, (name, value)) in map.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        text += &format!(
            "{comma}\n  {}: {}",
            serde_json::to_string(name)?,
            serde_json::to_string(value)?
        );
    }
    Ok(text + "\n }")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_again() {
        let mut figures = Figures::default();
        figures.machine.cpu = "max,-avx2".to_owned();
        let figure = Figure {
            insn: 97.25,
            packets: 2000,
            dropped: 1,
            setup_kinsn: 7,
            spread: Some([96.0, 98.5]),
        };
        figures.cells.insert("idle.ipv4".to_owned(), figure);
        figures.life.insert("load-100".to_owned(), -5);
        figures.unable.insert("b".to_owned(), "\"why\"".to_owned());
        let folder = std::env::temp_dir().join(format!("nftrace-figures-{}", std::process::id()));
        figures.store(&folder, "max,-avx2").unwrap();
        let read = Figures::load(&folder, "max,-avx2").unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read.machine, figures.machine);
        assert_eq!((read.cells, read.unable), (figures.cells, figures.unable));
        assert_eq!(read.life, figures.life);
    }

    #[test]
    fn figures_of_another_kernel_are_not_mixed_in() {
        let of = |kernel: &str| {
            let mut figures = Figures::default();
            figures.machine.kernel = kernel.to_owned();
            figures
        };
        let mut stored = Figures::default();
        stored.merge(of("7.3.4")).unwrap();
        stored.merge(of("7.3.4")).unwrap();
        assert!(stored.merge(of("7.3.5")).is_err());
    }
}
