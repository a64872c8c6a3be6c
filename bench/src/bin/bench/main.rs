// SPDX-License-Identifier: GPL-2.0

//! Measures nftrace and its peers: instructions a packet takes at a netfilter hook of a
//! stock kernel, in virtual machines that count them. `docs/performance.md` is its report.

mod cell;
mod check;
mod figures;
mod life;
mod machine;
mod matrix;
mod native;
mod peer;
mod plan;
mod report;
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{ensure, Result};
use clap::{Parser, Subcommand};

use crate::cell::Cell;
use crate::figures::{folder, Figures};
use crate::matrix::{has_all, none_in, Matrix};
use crate::native::Part;

/// The processor for the second run: pipapo has code of its own for AVX2.
const NO_AVX2: &str = "max,-avx2";

/// Measures nftrace and its peers in instructions a packet
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// QEMU's model of the processor
    #[arg(long, default_value = "max", global = true)]
    cpu: String,
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure cells by name, and store nothing
    Cell {
        /// As in policy.ipv4.acl.1000.1.hit, idle.ipv6
        #[arg(required = true)]
        names: Vec<Cell>,
    },
    /// Measure all that is in the report, and store it
    Run {
        /// Which part of it
        #[arg(default_value = "all")]
        matrix: Matrix,
        /// Of that, only cells that have this in their names
        #[arg(long)]
        only: Vec<String>,
    },
    /// Measure a small part, and fail where it takes more than 2 % more than what is stored
    Check,
    /// Measure what loading costs: the module, policies; and store it
    Life,
    /// Measure time, on this processor, in User Mode Linux; and store it
    Native {
        /// Which part of it
        #[arg(default_value = "all")]
        part: Part,
        /// Of the rates, only groups that have this in their names or in that of a cell
        #[arg(long)]
        only: Vec<String>,
    },
    /// What runs in the guest of `native records`
    #[command(hide = true)]
    Probe {
        /// What names begin with
        prefix: String,
    },
    /// Load a compiled policy; for the guest of `native`
    #[command(hide = true)]
    LoadBlob {
        file: PathBuf,
        /// Say what it took, in lines "verify-NAME VALUE"
        #[arg(long, value_name = "NAME")]
        tell: Option<String>,
    },
    /// Change dynamic sets; for the guest of `native loads`
    #[command(hide = true)]
    SetRates,
    /// Write docs/performance.md of what is stored
    Report,
    /// Names of cells, with what they are
    List {
        #[arg(default_value = "all")]
        matrix: Matrix,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match act(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(cli: &Cli) -> Result<()> {
    match &cli.command {
        Action::Cell { names } => {
            let figures = measure("bench cell", names, &cli.cpu)?;
            print(&figures, names);
            Ok(())
        }
        Action::Run { matrix, only } => {
            let mut cells = matrix.cells();
            cells.retain(|cell| has_all(&cell.to_string(), only));
            if cells.is_empty() {
                return none_in(&matrix.to_string(), only);
            }
            machine::measure(&format!("bench {matrix}"), &cells, &cli.cpu, |figures| {
                eprintln!("bench: {} cells more", figures.cells.len());
                store(&cli.cpu, figures)
            })
        }
        Action::Life => {
            let life = life::measure(&cli.cpu)?;
            for (name, value) in &life {
                println!("{name:<16} {value:>12}");
            }
            let figures = Figures {
                life,
                ..Figures::default()
            };
            store(&cli.cpu, figures)
        }
        Action::Native { part, only } => native::measure(*part, only, store),
        Action::Probe { prefix } => native::flood::probe(prefix),
        Action::LoadBlob { file, tell } => native::loads::load(file, tell.as_deref()),
        Action::SetRates => native::loads::set_rates(),
        Action::Report => {
            let figures = Figures::load(&folder(), "max")?;
            let [plain, native, core] = [NO_AVX2, native::NAME, native::core::NAME]
                .map(|name| Figures::load(&folder(), name).ok());
            report::write(&figures, plain.as_ref(), native.as_ref(), core.as_ref())
        }
        Action::Check => {
            let stored = Figures::load(&folder(), &cli.cpu)?;
            let cells = Matrix::Check.cells();
            let measured = measure("bench check", &cells, &cli.cpu)?;
            let table = check::compare(&cells, &stored, &measured);
            println!("{table}");
            if !stored.machine.is_like(&measured.machine) {
                println!(
                    "the stored figures are of kernel {}, and this is {}: nothing is decided; \
                     `make bench` measures anew",
                    stored.machine.kernel, measured.machine.kernel
                );
                return Ok(());
            }
            ensure!(
                table.failed() == 0,
                "{} cells failed; a change for the worse that is wanted is stored with `make bench`",
                table.failed()
            );
            Ok(())
        }
        Action::List { matrix } => {
            for cell in matrix.cells() {
                println!("{:<48} {}", cell.to_string(), cell.peer.about());
            }
            Ok(())
        }
    }
}

/// Adds figures to those that are stored; what was measured again is replaced.
fn store(cpu: &str, figures: Figures) -> Result<()> {
    let mut stored = Figures::load_any(&folder(), cpu)?;
    stored.merge(figures)?;
    stored.store(&folder(), cpu)
}

fn measure(name: &str, cells: &[Cell], cpu: &str) -> Result<Figures> {
    let mut all = Figures::default();
    machine::measure(name, cells, cpu, |figures| all.merge(figures))?;
    Ok(all)
}

fn print(figures: &Figures, cells: &[Cell]) {
    println!(
        "{:<48} {:>12} {:>8} {:>14}",
        "cell", "insn/packet", "dropped", "setup, kinsn"
    );
    for cell in cells {
        let name = cell.to_string();
        match (figures.get(cell), figures.unable.get(&name)) {
            (Some(it), _) => println!(
                "{name:<48} {:>12.2} {:>8} {:>14}",
                it.insn, it.dropped, it.setup_kinsn
            ),
            (None, Some(why)) => println!("{name:<48} {why}"),
            (None, None) => println!("{name:<48} not measured"),
        }
    }
}
