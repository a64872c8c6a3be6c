// SPDX-License-Identifier: GPL-2.0

//! Which namespace somebody means.

use std::path::Path;

use super::{identify, Kind, Name, Names, Namespace};

/// How many names are proposed.
const MOST: usize = 5;

/// Why no namespace is the one that is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResolveError {
    /// Nothing has that name.
    #[error("unknown {what} '{spec}'{}{}", proposals(.near), notes(.unseen))]
    Unknown {
        what: &'static str,
        spec: String,
        /// Names that are written alike.
        near: Vec<String>,
        /// What could not be seen, and may be why.
        unseen: Vec<String>,
    },
    /// Several have it.
    #[error("'{spec}' may mean {}: say which", candidates.join(" or "))]
    Ambiguous {
        spec: String,
        /// How to mean each of them.
        candidates: Vec<String>,
    },
    /// The container exists, but does not run.
    #[error("container '{0}' does not run, so it has no namespace: start it first")]
    Stopped(String),
    /// A path or process that is there, or not, but is no namespace that we can see.
    #[error("{0}")]
    Path(String),
}

fn proposals(near: &[String]) -> String {
    if near.is_empty() {
        "; 'nftrace ns' lists what there is".to_owned()
    } else {
        format!(
            ": did you mean {}? ('nftrace ns' lists what there is)",
            near.join(", ")
        )
    }
}

fn notes(unseen: &[String]) -> String {
    let lines: Vec<String> = unseen
        .iter()
        .map(|note| format!("\n  note: {note}"))
        .collect();
    lines.concat()
}

/// What a specification asks for.
enum Query<'a> {
    Any(&'a str),
    Container(&'a str),
    Of(Kind, &'a str),
}

impl<'a> Query<'a> {
    fn parse(spec: &'a str) -> Self {
        let Some((prefix, name)) = spec.split_once(':') else {
            return Self::Any(spec);
        };
        if prefix == "container" {
            return Self::Container(name);
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == prefix);
        kind.map_or(Self::Any(spec), |kind| Self::Of(kind, name))
    }

    const fn name(&self) -> &'a str {
        match self {
            Self::Any(name) | Self::Container(name) | Self::Of(_, name) => name,
        }
    }

    const fn allows(&self, kind: Kind) -> bool {
        match self {
            Self::Any(_) => true,
            Self::Container(_) => kind.is_container(),
            Self::Of(wanted, _) => *wanted as u8 == kind as u8,
        }
    }

    const fn what(&self) -> &'static str {
        match self {
            Self::Any(_) => "namespace",
            Self::Container(_) => "container",
            Self::Of(kind, _) if kind.is_container() => "container",
            Self::Of(kind, _) => kind.name(),
        }
    }

    fn is(&self, name: &Name) -> bool {
        let wanted = self.name();
        self.allows(name.kind)
            && (name.name == wanted
                || name.name.strip_suffix(".service") == Some(wanted)
                || name.id.as_deref() == Some(wanted))
    }

    /// As engines do: the start of an id is enough.
    fn starts(&self, name: &Name) -> bool {
        let wanted = self.name();
        let id = name.id.as_deref();
        self.allows(name.kind) && wanted.len() >= 3 && id.is_some_and(|id| id.starts_with(wanted))
    }
}

impl Names {
    /// The namespace that `spec` means: a name, qualified (`docker:web`,
    /// `container:web`, `netns:blue`, `pod:default/web`) or not; `pid:N`; a path; an
    /// inode number or a cookie, alone or as `inode:N` and `cookie:N`.
    ///
    /// # Errors
    ///
    /// When it means none, or more than one. A living one goes before one that is gone.
    pub(crate) fn resolve(&self, spec: &str) -> Result<Namespace, ResolveError> {
        if spec.starts_with('/') || spec.starts_with("./") {
            return self.by_path(Path::new(spec));
        }
        if let Some((prefix @ ("pid" | "inode" | "cookie"), number)) = spec.split_once(':') {
            return self.by_number(spec, prefix, number);
        }
        let query = Query::parse(spec);
        let found = self
            .matching(|name| query.is(name))
            .or_else(|| self.numbered(spec))
            .or_else(|| self.matching(|name| query.starts(name)));
        match found.as_deref() {
            Some([one]) => Ok((*one).clone()),
            Some(several) => Err(ResolveError::Ambiguous {
                spec: spec.to_owned(),
                candidates: self.candidates(&query, several),
            }),
            None => Err(self.unknown(&query)),
        }
    }

    /// The namespace that `spec` means, and the first process of the container, if it
    /// is one, that goes by this name there.
    ///
    /// # Errors
    ///
    /// As [`Self::resolve`].
    pub(crate) fn resolve_process(
        &self,
        spec: &str,
    ) -> Result<(Namespace, Option<u32>), ResolveError> {
        let namespace = self.resolve(spec)?;
        let query = Query::parse(spec);
        let mut names = namespace.names.iter();
        let pid = names
            .find(|name| query.is(name) || query.starts(name))
            .and_then(|n| n.pid);
        Ok((namespace, pid))
    }

    /// Living namespaces with such a name; those that are gone where there is none.
    fn matching(&self, is: impl Fn(&Name) -> bool) -> Option<Vec<&Namespace>> {
        let all = || self.namespaces.iter().filter(|n| n.names.iter().any(&is));
        let living: Vec<&Namespace> = all()
            .filter(|n| n.names.iter().any(|name| is(name) && !n.gone && !name.gone))
            .collect();
        let found = if living.is_empty() {
            all().collect()
        } else {
            living
        };
        (!found.is_empty()).then_some(found)
    }

    fn numbered(&self, spec: &str) -> Option<Vec<&Namespace>> {
        let number: u64 = spec.parse().ok()?;
        let inode = u32::try_from(number).ok();
        let by_inode = inode.and_then(|inode| self.lookup(None, Some(inode)));
        Some(vec![by_inode.or_else(|| self.lookup(Some(number), None))?])
    }

    fn by_number(&self, spec: &str, prefix: &str, number: &str) -> Result<Namespace, ResolveError> {
        let bad = || ResolveError::Path(format!("'{spec}': '{number}' is not a number"));
        let found = match prefix {
            "pid" => {
                let pid: u32 = number.parse().map_err(|_| bad())?;
                return self.by_pid(pid);
            }
            "inode" => self.lookup(None, Some(number.parse().map_err(|_| bad())?)),
            _ => self.lookup(Some(number.parse().map_err(|_| bad())?), None),
        };
        found
            .cloned()
            .ok_or_else(|| self.unknown(&Query::Any(spec)))
    }

    fn by_pid(&self, pid: u32) -> Result<Namespace, ResolveError> {
        if !Path::new(&format!("/proc/{pid}")).exists() {
            return Err(ResolveError::Path(format!("there is no process {pid}")));
        }
        self.by_path(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// A file may lead to a namespace that the snapshot has not, such as another's `/proc`.
    fn by_path(&self, path: &Path) -> Result<Namespace, ResolveError> {
        let shown = path.display();
        let identity = identify(path).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::PermissionDenied => " (run as root)",
                _ => "",
            };
            ResolveError::Path(format!("{shown}: {error}{hint}"))
        })?;
        let mut namespace = self
            .lookup(identity.cookie, Some(identity.inode))
            .filter(|namespace| !namespace.gone)
            .cloned()
            .unwrap_or_else(|| Namespace {
                cookie: identity.cookie,
                inode: identity.inode,
                names: Vec::new(),
                processes: Vec::new(),
                mounts: Vec::new(),
                gone: false,
            });
        if namespace.path().is_none() {
            namespace.mounts.push(path.to_owned());
        }
        Ok(namespace)
    }

    /// How to mean each of them: by kind and name where that is enough.
    fn candidates(&self, query: &Query<'_>, namespaces: &[&Namespace]) -> Vec<String> {
        let qualified = |namespace: &Namespace| {
            let mut names = namespace.names.iter();
            let name = names.find(|name| query.is(name) || query.starts(name));
            name.map(|name| format!("{}:{}", name.kind.name(), name.name))
        };
        let all: Vec<Option<String>> = namespaces.iter().map(|n| qualified(n)).collect();
        namespaces
            .iter()
            .zip(&all)
            .map(|(namespace, shown)| match shown {
                Some(shown)
                    if all.iter().flatten().filter(|&other| other == shown).count() == 1 =>
                {
                    shown.clone()
                }
                Some(shown) => format!("{} ({shown})", namespace.unique()),
                None => namespace.unique(),
            })
            .collect()
    }

    fn unknown(&self, query: &Query<'_>) -> ResolveError {
        if let Some(stopped) = self.stopped.iter().find(|name| query.is(name)) {
            return ResolveError::Stopped(stopped.name.clone());
        }
        ResolveError::Unknown {
            what: query.what(),
            spec: query.name().to_owned(),
            near: self.near(query),
            unseen: self.unseen.clone(),
        }
    }

    /// Names that are written alike, the nearest first.
    fn near(&self, query: &Query<'_>) -> Vec<String> {
        let wanted = query.name().to_lowercase();
        let far = (wanted.chars().count() / 3).max(1) + 1;
        let all = self
            .namespaces
            .iter()
            .flat_map(|n| &n.names)
            .chain(&self.stopped);
        let mut near: Vec<(usize, String)> = all
            .filter(|name| query.allows(name.kind))
            .filter_map(|name| {
                let known = name.name.to_lowercase();
                let distance = strsim::damerau_levenshtein(&wanted, &known);
                // Compose and pods put something before and behind the name that people know.
                let part =
                    wanted.len() >= 2 && (known.contains(&wanted) || wanted.contains(&known));
                (distance <= far || part).then(|| (distance, name.name.clone()))
            })
            .collect();
        near.sort();
        let mut names: Vec<String> = Vec::new();
        for (_, name) in near {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.truncate(MOST);
        names
    }
}
