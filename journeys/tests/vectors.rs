// SPDX-License-Identifier: GPL-2.0

//! The vectors: records, and the journeys that are to be built of them.
//!
//! Each file of `tests/vectors/` has records (see `support`) or, as `.log`, text of a kernel
//! log; behind a line `--- SOURCE…` stands what is expected when the records come from these
//! sources: `ring`, `log` (version 1) or `classic`. With `UPDATE_VECTORS=1` what is built is
//! written there, to be read before it is committed.

mod support;

use std::fmt::Write as _;
use std::path::Path;

use nftrace_journeys::{Builder, Input, LogReader, Options};
use support::{show, Vector};

fn read(text: &str) -> Vec<Input> {
    let (mut reader, mut inputs) = (LogReader::new(), Vec::new());
    reader.bytes(text.as_bytes(), &mut inputs);
    reader.finish(&mut inputs);
    inputs
}

fn built(inputs: Vec<Input>, vector: &Vector) -> String {
    let mut builder = Builder::new(Options::FILE);
    for input in inputs {
        builder.feed(input);
    }
    show(&builder.finish(), vector)
}

fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).expect("the vector can be read");
    let mut sections = text.split("\n--- ");
    let records = sections.next().unwrap_or_default();
    let is_log = path.extension().is_some_and(|extension| extension == "log");
    let vector = Vector::parse(if is_log { "" } else { records });
    let mut updated = records.to_owned();
    let mut wrong = Ok(());
    for section in sections {
        let (sources, expected) = section.split_once('\n').unwrap_or((section, ""));
        write!(updated, "\n--- {sources}").unwrap();
        for (index, source) in sources.split_whitespace().enumerate() {
            let inputs = match source {
                "ring" => vector.ring(),
                "log" if is_log => read(records),
                "log" => read(&vector.log(false)),
                "classic" => read(&vector.log(true)),
                _ => return Err(format!("{}: {source} is no source", path.display())),
            };
            let actual = built(inputs, &vector);
            if index == 0 {
                write!(updated, "\n{}", actual.trim_end()).unwrap();
            }
            if actual.trim_end() != expected.trim_end() {
                wrong = Err(format!(
                    "{} from {source}: expected\n{}\nbut built was\n{actual}",
                    path.display(),
                    expected.trim_end(),
                ));
            }
        }
    }
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(path, updated + "\n").expect("the vector can be written");
    }
    wrong
}

#[test]
fn each_vector_builds_the_journeys_that_it_expects() {
    let folder = Path::new("tests/vectors");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("there are vectors")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    paths.sort();
    let wrong: Vec<String> = paths.iter().filter_map(|path| check(path).err()).collect();
    assert!(paths.len() > 20, "vectors are missing");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
