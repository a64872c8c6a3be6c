// SPDX-License-Identifier: GPL-2.0

//! A line of iptables as words: quotes keep words together, a backslash the next sign.

/// The words of a line, without the counters in front.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    let mut signs = super::without_counters(line).chars();
    while let Some(sign) = signs.next() {
        match sign {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' => {
                let next = signs.next().ok_or("a backslash ends it")?;
                word.get_or_insert_default().push(next);
            }
            sign if sign.is_whitespace() && !is_quoted => words.extend(word.take()),
            sign => word.get_or_insert_default().push(sign),
        }
    }
    if is_quoted {
        return Err("a quote has no end".to_string());
    }
    words.extend(word);
    Ok(words)
}
