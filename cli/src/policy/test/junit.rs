// SPDX-License-Identifier: GPL-2.0

//! Results as JUnit writes them, for CI systems.

use std::fmt::Write as _;

use super::Suite;

/// The whole file.
pub(super) fn xml(suites: &[Suite]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for suite in suites {
        let failed = suite.outcomes.iter().filter(|one| one.failure.is_some());
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">",
            escaped(&suite.file),
            suite.outcomes.len(),
            failed.count()
        );
        for outcome in &suite.outcomes {
            let name = escaped(&outcome.case.name);
            let file = escaped(&suite.file);
            let line = outcome.case.line;
            let head = format!(
                "    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{line}\""
            );
            let _ = match &outcome.failure {
                None => writeln!(xml, "{head}/>"),
                Some(failure) => writeln!(
                    xml,
                    "{head}>\n      <failure message=\"{}\"/>\n    </testcase>",
                    escaped(failure)
                ),
            };
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no way to write others.
            _ if one.is_control() => escaped.push(' '),
            _ => escaped.push(one),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_xml_is_written_as_text() {
        let text = "a > b & \"c\"\n<d>";
        assert_eq!(escaped(text), "a &gt; b &amp; &quot;c&quot; &lt;d&gt;");
    }
}
