// SPDX-License-Identifier: GPL-2.0

//! Journeys and records as people, programs and browsers read them.

mod details;
mod end;
mod html;
mod lanes;
mod line;
mod marks;
mod mermaid;
mod routes;
mod style;
mod svg;
mod text;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use html::page;
pub(crate) use line::Lines;
pub(crate) use mermaid::diagram;
pub(crate) use routes::groups;
pub(crate) use style::{Role, Style};
pub(crate) use svg::file as drawing;
pub(crate) use text::block;
pub(crate) use view::View;
pub(crate) use words::count;
