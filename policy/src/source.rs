// SPDX-License-Identifier: GPL-2.0

//! The texts that a policy is made of, and places in them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Reads the files of a policy: the disk, or what a test holds in memory.
pub trait Loader {
    /// The one name of the file `path` as the file `from` says it; none: as the caller says it.
    ///
    /// # Errors
    ///
    /// Why there is no such file, as in "No such file or directory".
    fn locate(&self, from: Option<&str>, path: &str) -> Result<String, String>;

    /// What the file holds; `name` comes from [`Loader::locate`].
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    fn read(&self, name: &str) -> Result<Vec<u8>, String>;
}

/// The disk. A path is relative to the file that says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

/// Larger files are refused: a set of a million prefixes has some 20 MB.
const LARGEST: u64 = 256 << 20;

impl Loader for Disk {
    fn locate(&self, from: Option<&str>, path: &str) -> Result<String, String> {
        let folder = from.and_then(|from| Path::new(from).parent());
        let path = folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path));
        let path = match path.canonicalize() {
            // A pipe that the shell has opened: its name leads nowhere else.
            Err(_) if std::fs::metadata(&path).is_ok() => path,
            found => found.map_err(|error| reason(&error))?,
        };
        path.into_os_string()
            .into_string()
            .map_err(|_| "its path is not UTF-8".to_string())
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let size = std::fs::metadata(name)
            .map_err(|error| reason(&error))?
            .len();
        if size > LARGEST {
            return Err(format!(
                "it has {} MB, more than {}",
                size >> 20,
                LARGEST >> 20
            ));
        }
        std::fs::read(name).map_err(|error| reason(&error))
    }
}

/// An error of the system without "(os error 2)".
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// Files in memory, by name.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<String, Vec<u8>>);

impl Memory {
    /// With one file.
    #[must_use]
    pub fn with(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(name.to_string(), content.into());
        self
    }
}

impl Loader for Memory {
    fn locate(&self, _: Option<&str>, path: &str) -> Result<String, String> {
        if self.0.contains_key(path) {
            Ok(path.to_string())
        } else {
            Err("No such file or directory".to_string())
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        self.0
            .get(name)
            .cloned()
            .ok_or_else(|| "No such file or directory".to_string())
    }
}

/// One file of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, for people.
    pub name: String,
    /// What it holds.
    pub text: String,
    /// Where its lines begin, but for the first one.
    lines: Vec<u32>,
}

/// The files that were read, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(Vec<File>);

impl Files {
    /// Adds a file; returns its number.
    pub(crate) fn add(&mut self, name: &str, text: String) -> u32 {
        let number = |at: usize| u32::try_from(at + 1).unwrap_or(u32::MAX);
        let lines = text.match_indices('\n').map(|(at, _)| number(at));
        self.0.push(File {
            name: name.to_string(),
            lines: lines.collect(),
            text,
        });
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// The file of that number.
    #[must_use]
    pub fn get(&self, file: u32) -> Option<&File> {
        self.0.get(usize::try_from(file).ok()?)
    }

    /// All files, the one first that was asked for.
    pub fn iter(&self) -> impl Iterator<Item = &File> {
        self.0.iter()
    }

    /// The text at a place.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file)
            .and_then(|file| file.text.get(span.range()))
            .unwrap_or("")
    }

    /// Where `word` stands in a place, alone; the place itself where it does not.
    pub(crate) fn find(&self, span: Span, word: &str) -> Span {
        let text = self.text(span);
        let is_alone = |(at, _): &(usize, &str)| {
            let behind = text
                .get(at + word.len()..)
                .and_then(|rest| rest.chars().next());
            !behind.is_some_and(crate::words::is_word)
        };
        let Some((at, _)) = text.match_indices(word).find(is_alone) else {
            return span;
        };
        let start = span.start + u32::try_from(at).unwrap_or(0);
        Span {
            start,
            end: start + u32::try_from(word.len()).unwrap_or(0),
            ..span
        }
    }

    /// File, line and column of a place's beginning.
    #[must_use]
    pub fn position(&self, span: Span) -> Position {
        let Some(file) = self.get(span.file) else {
            return Position::default();
        };
        let line = file.lines.partition_point(|start| *start <= span.start);
        let start = line.checked_sub(1).and_then(|line| file.lines.get(line));
        let before = file
            .text
            .get(start.map_or(0, |start| *start as usize)..span.range().start);
        Position {
            file: file.name.clone(),
            line: line + 1,
            column: before.map_or(0, |before| before.chars().count()) + 1,
        }
    }
}

/// A place as people count: from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The file's name.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Some bytes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file's number.
    pub file: u32,
    /// Where it begins.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

impl Span {
    /// No place at all.
    pub(crate) const NOWHERE: Self = Self {
        file: u32::MAX,
        start: 0,
        end: 0,
    };

    /// As a range of bytes.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From the beginning of this to the end of `last`.
    #[must_use]
    pub fn to(self, last: Self) -> Self {
        Self {
            end: last.end.max(self.end),
            ..self
        }
    }
}
