// SPDX-License-Identifier: GPL-2.0

//! Colour and width of a terminal.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style as Paint};

/// What text is for, which decides how it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// Heads of blocks.
    Head,
    /// Namespaces.
    Place,
    /// Rewritten addresses.
    Nat,
    /// What is only inferred, and times.
    Faint,
    /// A good end.
    Good,
    /// A bad end, and losses.
    Bad,
}

impl Role {
    fn paint(self) -> Paint {
        let color = |color: AnsiColor| Paint::new().fg_color(Some(anstyle::Color::Ansi(color)));
        match self {
            Self::Head => Paint::new().bold(),
            Self::Place => color(AnsiColor::Cyan).bold(),
            Self::Nat => color(AnsiColor::Yellow),
            Self::Faint => Paint::new().dimmed(),
            Self::Good => color(AnsiColor::Green),
            Self::Bad => color(AnsiColor::Red).bold(),
        }
    }
}

/// How text may look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    color: bool,
    /// Columns of the terminal; none where the output is none.
    pub(crate) width: Option<usize>,
}

impl Style {
    /// Neither colour nor width.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self {
        color: false,
        width: None,
    };

    /// That of standard output: colour on a terminal only, and not where `NO_COLOR`
    /// or `TERM=dumb` ask for none.
    pub(crate) fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let choice = anstream::AutoStream::choice(&stdout);
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        Self {
            color: choice != anstream::ColorChoice::Never,
            width: size
                .map(|size| usize::from(size.ws_col))
                .filter(|columns| *columns > 0),
        }
    }

    /// `text` as it looks in its role.
    pub(crate) fn paint<T: Display>(self, role: Role, text: T) -> Painted<T> {
        Painted {
            paint: self.color.then(|| role.paint()),
            text,
        }
    }
}

/// Text with the codes that make it look so.
#[derive(Debug)]
pub(crate) struct Painted<T> {
    paint: Option<Paint>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.paint {
            Some(paint) => write!(f, "{paint}{}{paint:#}", self.text),
            None => self.text.fmt(f),
        }
    }
}
