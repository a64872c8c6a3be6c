// SPDX-License-Identifier: GPL-2.0

//! Whether what is measured now is what was stored.

use std::fmt;

use crate::cell::Cell;
use crate::figures::Figures;

/// So much more is too much,
const MOST: f64 = 1.02;

/// and so many instructions are no difference: an interrupt in every round.
const NOISE: f64 = 1.0;

/// What became of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Same,
    More,
    Less,
    NotStored,
    NotMeasured,
}

struct Row {
    cell: Cell,
    stored: Option<f64>,
    measured: Option<f64>,
}

impl Row {
    fn outcome(&self) -> Outcome {
        match (self.stored, self.measured) {
            (_, None) => Outcome::NotMeasured,
            (None, _) => Outcome::NotStored,
            (Some(stored), Some(now)) if now > stored * MOST && now > stored + NOISE => {
                Outcome::More
            }
            (Some(stored), Some(now)) if now * MOST < stored && now + NOISE < stored => {
                Outcome::Less
            }
            _ => Outcome::Same,
        }
    }

    fn is_bad(&self) -> bool {
        !matches!(self.outcome(), Outcome::Same | Outcome::Less)
    }
}

/// A row for each cell.
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// How many cells may not stay as they are.
    pub(crate) fn failed(&self) -> usize {
        self.0.iter().filter(|row| row.is_bad()).count()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<44} {:>10} {:>10} {:>8}",
            "cell", "stored", "now", "change"
        )?;
        for row in &self.0 {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.2}"));
            let change = match (row.stored, row.measured) {
                (Some(stored), Some(now)) if stored > 0.0 => {
                    format!("{:+.1} %", (now / stored - 1.0) * 100.0)
                }
                _ => "-".to_owned(),
            };
            let remark = match row.outcome() {
                Outcome::Same => "",
                Outcome::More => "  FAILED: more than 2 % more",
                Outcome::Less => "  better: store it with `make bench`",
                Outcome::NotStored => "  FAILED: not stored: run `make bench`",
                Outcome::NotMeasured => "  FAILED: not measured",
            };
            writeln!(
                f,
                "{:<44} {:>10} {:>10} {change:>8}{remark}",
                row.cell.to_string(),
                number(row.stored),
                number(row.measured),
            )?;
        }
        Ok(())
    }
}

/// What is stored against what was measured.
pub(crate) fn compare(cells: &[Cell], stored: &Figures, measured: &Figures) -> Table {
    let row = |cell: &Cell| Row {
        cell: *cell,
        stored: stored.insn(cell),
        measured: measured.insn(cell),
    };
    Table(cells.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figure;

    fn figures(cells: &[(&str, f64)]) -> Figures {
        let mut figures = Figures::default();
        for (name, insn) in cells {
            let figure = Figure {
                insn: *insn,
                packets: 2000,
                dropped: 0,
                setup_kinsn: 0,
                spread: None,
            };
            figures.cells.insert((*name).to_owned(), figure);
        }
        figures
    }

    fn failed(stored: &[(&str, f64)], measured: &[(&str, f64)]) -> usize {
        let cells = [
            "idle.ipv4".parse().unwrap(),
            "policy.ipv4.acl.100.1.hit".parse().unwrap(),
        ];
        compare(&cells, &figures(stored), &figures(measured)).failed()
    }

    #[test]
    fn more_than_two_percent_more_fails_and_nothing_else_does() {
        let stored = [("idle.ipv4", 97.0), ("policy.ipv4.acl.100.1.hit", 300.0)];
        let with = |idle, policy| [("idle.ipv4", idle), ("policy.ipv4.acl.100.1.hit", policy)];
        assert_eq!(failed(&stored, &with(97.0, 300.0)), 0);
        assert_eq!(failed(&stored, &with(98.9, 306.0)), 0);
        assert_eq!(failed(&stored, &with(90.0, 200.0)), 0);
        assert_eq!(failed(&stored, &with(99.1, 300.0)), 1);
        assert_eq!(failed(&stored, &with(99.1, 306.1)), 2);
    }

    #[test]
    fn a_cell_that_is_missing_on_either_side_fails() {
        let both = [("idle.ipv4", 97.0), ("policy.ipv4.acl.100.1.hit", 300.0)];
        assert_eq!(failed(&both, &both[..1]), 1);
        assert_eq!(failed(&both[1..], &both), 1);
    }
}
