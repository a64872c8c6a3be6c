// SPDX-License-Identifier: GPL-2.0

//! Journeys grouped for drawing: by connection, and of those that went the same way
//! only one is drawn.

use nftrace_journeys::{Connection, Direction, End, Journey, Names};

use super::view::View;
use super::words;

/// What is drawn together: a connection, or a journey that belongs to none.
#[derive(Debug)]
pub(crate) struct Group {
    /// The connection's number.
    pub(crate) connection: Option<usize>,
    heading: String,
    /// The ways that its packets took, requests first.
    pub(crate) routes: Vec<Route>,
}

/// A way that one or more packets took.
#[derive(Debug)]
pub(crate) struct Route {
    /// The first of them, which is drawn.
    pub(crate) shown: View,
    /// The others.
    pub(crate) others: Vec<View>,
}

impl Route {
    /// All its packets.
    pub(crate) fn views(&self) -> impl Iterator<Item = &View> {
        std::iter::once(&self.shown).chain(&self.others)
    }

    /// `3 more packets the same way`
    pub(crate) fn more(&self) -> Option<String> {
        let more = self.others.len() as u64;
        (more > 0).then(|| format!("{} the same way", words::count(more, "more packet")))
    }

    /// What its packets are: `SYN, ACK, PSH ACK`, each once.
    pub(crate) fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = Vec::new();
        for kind in self.views().filter_map(|view| view.what.as_deref()) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join(", ")
    }
}

impl Group {
    /// `connection 1 · tcp 10.0.0.1:5000 → 10.0.0.2:80`
    pub(crate) fn title(&self) -> String {
        match self.connection {
            Some(number) => format!("connection {number} · {}", self.heading),
            None => self.heading.clone(),
        }
    }

    /// How many packets it has.
    pub(crate) fn packets(&self) -> usize {
        self.routes.iter().map(|route| route.views().count()).sum()
    }

    /// How many of them were dropped.
    pub(crate) fn dropped(&self) -> usize {
        let views = self.routes.iter().flat_map(Route::views);
        views.filter(|view| view.ending.end == End::Dropped).count()
    }
}

/// Groups journeys, in the order in which connections began.
pub(crate) fn groups(
    journeys: &[&Journey],
    connections: &[Connection],
    names: &dyn Names,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for journey in journeys {
        let view = View::new(journey, names);
        // An error is drawn with the connection that it is about.
        let connection = view.connection.or(view.about);
        let index = connection.and_then(|number| places.get(&number).copied());
        let index = index.unwrap_or_else(|| {
            groups.push(Group {
                connection,
                heading: heading(&view, connection, connections),
                routes: Vec::new(),
            });
            let index = groups.len() - 1;
            places.extend(connection.map(|number| (number, index)));
            index
        });
        if let Some(group) = groups.get_mut(index) {
            let route = group
                .routes
                .iter_mut()
                .find(|route| route.shown.same_way(&view));
            match route {
                Some(route) => route.others.push(view),
                None => group.routes.push(Route {
                    shown: view,
                    others: Vec::new(),
                }),
            }
        }
    }
    for group in &mut groups {
        // The sort is stable: of one direction, the first packet's way comes first.
        group
            .routes
            .sort_by_key(|route| route.shown.direction == Some(Direction::Reply));
    }
    groups
}

fn heading(view: &View, number: Option<usize>, connections: &[Connection]) -> String {
    // They are in the order of their numbers.
    let at = number.and_then(|number| {
        let found = connections.binary_search_by_key(&number, |connection| connection.number);
        found.ok()
    });
    match at.and_then(|at| connections.get(at)) {
        Some(connection) => format!(
            "{} {} → {}",
            words::protocol(connection.protocol),
            connection.client.src,
            connection.client.dst,
        ),
        None => format!("{} {} → {}", view.title(), view.src, view.dst),
    }
}
