// SPDX-License-Identifier: GPL-2.0

//! Tables of Markdown.

use std::fmt;

/// A table; its first column is text, the others numbers.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&word| word.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row if there is anything behind its first field.
    pub(crate) fn row(
        &mut self,
        name: impl Into<String>,
        fields: impl IntoIterator<Item = String>,
    ) {
        let mut row = vec![name.into()];
        row.extend(fields);
        if row.iter().skip(1).any(|field| field != NOTHING) {
            self.rows.push(row);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

const NOTHING: &str = "–";

/// A number as tables show it.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => NOTHING.to_owned(),
        Some(value) if value.abs() < 10.0 => format!("{value:.1}"),
        Some(value) => {
            let sign = if value < 0.0 { "-" } else { "" };
            sign.to_owned() + &grouped(&format!("{:.0}", value.abs()))
        }
    }
}

/// A whole number as tables show it.
pub(crate) fn whole(value: usize) -> String {
    grouped(&value.to_string())
}

/// `12,345`
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} |", self.head.join(" | "))?;
        let rule: Vec<&str> = (0..self.head.len())
            .map(|column| if column == 0 { "---" } else { "--:" })
            .collect();
        writeln!(f, "|{}|", rule.join("|"))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        for (value, text) in [
            (1.04, "1.0"),
            (97.4, "97"),
            (1234.5, "1,234"),
            (-12_345_678.0, "-12,345,678"),
        ] {
            assert_eq!(number(Some(value)), text);
        }
        assert_eq!(number(None), "–");
        assert_eq!(whole(8), "8");
        assert_eq!(whole(100_000), "100,000");
    }

    #[test]
    fn a_row_without_figures_is_left_out() {
        let mut table = Table::new(&["a", "b"]);
        table.row("x", [number(None)]);
        assert!(table.is_empty());
        table.row("y", [number(Some(1.0))]);
        assert_eq!(table.to_string(), "| a | b |\n|---|--:|\n| y | 1.0 |\n");
    }
}
