// SPDX-License-Identifier: GPL-2.0

//! Standard output, of which whoever reads it may have had enough.

use std::io::{self, IsTerminal as _, StdoutLock, Write};

/// Standard output, whose errors say that it is.
pub(crate) struct Output(StdoutLock<'static>);

/// Standard output, until it is dropped.
pub(crate) fn standard() -> Output {
    Output(io::stdout().lock())
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
struct Failed(io::Error);

fn failed(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), Failed(error))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(failed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(failed)
    }
}

/// Whether the error is that nobody reads the output any more, which is no failure.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    let mut errors = error.chain().filter_map(|e| e.downcast_ref::<io::Error>());
    errors.any(|error| {
        error.kind() == io::ErrorKind::BrokenPipe
            && error.get_ref().is_some_and(|inner| inner.is::<Failed>())
    })
}

/// Refuses to write to a terminal what that cannot show.
pub(crate) fn refuse_terminal(advice: &str) -> anyhow::Result<()> {
    let terminal = io::stdout().is_terminal();
    anyhow::ensure!(!terminal, "a terminal cannot show this: {advice}");
    Ok(())
}
