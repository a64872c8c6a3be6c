// SPDX-License-Identifier: GPL-2.0

//! Names whose meaning is given, not looked up: for tests, and for other machines.

use crate::ast::{NamespaceSpec, Statement};
use crate::program::identity;
use crate::resolve::Resolver;
use crate::words;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a name means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// The cookie of its namespace; none: one that no other has.
    pub cookie: Option<u64>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Names by what they mean. `web` is both `container:web` and `netns:web`; a longer name
/// is as rules say it: `container:web`, `pid:12`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named(BTreeMap<String, Meaning>);

impl From<BTreeMap<String, Meaning>> for Named {
    fn from(names: BTreeMap<String, Meaning>) -> Self {
        Self(names)
    }
}

/// A number for a name, which no other name has.
fn symbol(name: &str) -> u64 {
    identity(name, 0)
}

impl Named {
    fn find(&self, spec: &NamespaceSpec) -> Option<(&String, &Meaning)> {
        let bare = match spec {
            NamespaceSpec::Container(name) | NamespaceSpec::Netns(name) => Some(name),
            _ => None,
        };
        let qualified = self.0.get_key_value(&spec.to_string());
        qualified.or_else(|| self.0.get_key_value(bare?))
    }

    /// Whether a meaning is given.
    #[must_use]
    pub fn has(&self, spec: &NamespaceSpec) -> bool {
        self.find(spec).is_some()
    }

    /// The cookie of a namespace: that which is given, else one that only this name has.
    #[must_use]
    pub fn cookie(&self, spec: &NamespaceSpec) -> u64 {
        if let NamespaceSpec::Cookie(cookie) = spec {
            return *cookie;
        }
        match self.find(spec) {
            Some((name, meaning)) => meaning.cookie.unwrap_or_else(|| symbol(name)),
            None => symbol(&spec.to_string()),
        }
    }

    /// The namespace that a text means: `host`, a name that is given, or as rules say it.
    ///
    /// # Errors
    ///
    /// It means none.
    pub fn namespace_of(&self, text: &str) -> Result<NamespaceSpec, String> {
        if self.0.contains_key(text) && !text.contains(':') {
            return Ok(NamespaceSpec::Container(text.to_string()));
        }
        let spec = if text.starts_with('/') {
            format!("path \"{text}\"")
        } else {
            text.to_string()
        };
        let parsed = crate::parse(&format!("accept in {spec}")).ok();
        let rule = parsed.and_then(|mut policy| policy.statements.pop());
        match rule {
            Some(Statement::Rule(rule)) if rule.at.clauses.len() == 2 => {
                let namespaces = rule.namespaces.filter(|namespaces| !namespaces.not);
                let mut items = namespaces
                    .map(|namespaces| namespaces.items)
                    .unwrap_or_default();
                match (items.pop(), items.is_empty()) {
                    (Some(spec), true) if spec != NamespaceSpec::All => Ok(spec),
                    _ => Err(format!("`{text}` does not mean one namespace")),
                }
            }
            _ => Err(self.unknown(text)),
        }
    }

    fn unknown(&self, text: &str) -> String {
        let bare = text.rsplit(':').next().unwrap_or(text);
        let names = self.0.keys().map(String::as_str);
        match words::nearest(bare, names) {
            Some(near) => format!("`{text}` is not given: did you mean `{near}`?"),
            None => format!(
                "`{text}` means no namespace: it is as container:NAME, netns:NAME, host, or a name \
                 that is given"
            ),
        }
    }

    fn strictly<'a>(&'a self, spec: &NamespaceSpec) -> Result<&'a Meaning, String> {
        let found = self.find(spec).map(|(_, meaning)| meaning);
        found.ok_or_else(|| {
            let text = spec.to_string();
            let bare = text.rsplit(':').next().unwrap_or(&text);
            let near = words::nearest(bare, self.0.keys().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            format!("what {spec} means is not given{near}")
        })
    }
}

/// All names have to be given, but for `host` and cgroups.
impl Resolver for Named {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Ok(self.strictly(of)?.addresses.clone())
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        self.strictly(spec)?;
        Ok(self.cookie(spec))
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        let all = cgroup_ids(path);
        let level = u32::try_from(all.len() - 1).map_err(|_| "it is too deep".to_string())?;
        Ok((all.last().copied().unwrap_or_default(), level))
    }

    fn host(&self) -> Result<u64, String> {
        Ok(self.cookie(&NamespaceSpec::Host))
    }
}

/// Ids for the cgroups from the root to a path.
#[must_use]
pub fn cgroup_ids(path: &str) -> Vec<u64> {
    cgroup_paths(path).iter().map(|path| symbol(path)).collect()
}

/// The paths of the cgroups from the root to this one.
#[must_use]
pub fn cgroup_paths(path: &str) -> Vec<String> {
    let mut paths = vec!["/".to_string()];
    let mut below = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        below = format!("{below}/{part}");
        paths.push(below.clone());
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Named {
        let web = Meaning {
            cookie: Some(7),
            addresses: vec!["172.17.0.2".parse().unwrap()],
        };
        let all = [
            ("web".to_string(), web),
            ("netns:blue".to_string(), Meaning::default()),
        ];
        Named(BTreeMap::from(all))
    }

    #[test]
    fn a_bare_name_is_a_container_and_a_named_namespace() {
        for spec in [
            NamespaceSpec::Container("web".to_string()),
            NamespaceSpec::Netns("web".to_string()),
        ] {
            assert_eq!(names().namespace(&spec), Ok(7));
            assert_eq!(names().addresses(&spec).unwrap().len(), 1);
        }
        let blue = NamespaceSpec::Container("blue".to_string());
        assert!(names().namespace(&blue).is_err());
    }

    #[test]
    fn what_is_not_given_is_an_error_with_the_nearest_name() {
        let error = names().addresses(&NamespaceSpec::Container("wbe".to_string()));
        assert_eq!(
            error.unwrap_err(),
            "what container:wbe means is not given: did you mean `web`?"
        );
    }

    #[test]
    fn a_namespace_is_meant_as_rules_and_as_tables_of_names_say_it() {
        let names = names();
        let web = NamespaceSpec::Container("web".to_string());
        assert_eq!(names.namespace_of("web"), Ok(web.clone()));
        assert_eq!(names.namespace_of("container:web"), Ok(web));
        assert_eq!(names.namespace_of("host"), Ok(NamespaceSpec::Host));
        assert_eq!(names.namespace_of("cookie:9"), Ok(NamespaceSpec::Cookie(9)));
        let path = NamespaceSpec::Path("/proc/1/ns/net".to_string());
        assert_eq!(names.namespace_of("/proc/1/ns/net"), Ok(path));
        for nonsense in [
            "wbe",
            "all",
            "host, container:web",
            "not host",
            "host tcp",
            "",
        ] {
            assert!(names.namespace_of(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_cgroup_is_of_all_above_it() {
        let (slice, level) = names().cgroup("/system.slice").unwrap();
        let service = cgroup_ids("/system.slice/web.service");
        assert_eq!((service.len(), service[1], level), (3, slice, 1));
    }
}
