//! Pod names, interned: a name is looked at once and is a number from then on.
//!
//! The registry is shared by the threads of a run and locked only when a thread meets a name for the
//! first time; each thread keeps what it has met. Memory is bounded: after [`MAX_PODS`] distinct names
//! the rest of a group is counted together, and so are groups beyond [`MAX_GROUPS`].

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::identity::assignment::{Group, Mappings};
use crate::observation::PodId;
use crate::split::MAX_PODS as MAX_GROUPS_OF_PODS;

/// The largest number of pod names that are told apart.
pub const MAX_PODS: usize = 10_000;
/// The largest number of groups (pods, where each is judged) that are told apart; beyond it, the rest of
/// a workload is one group, and beyond twice as many the rest of the workloads is.
pub const MAX_GROUPS: usize = MAX_GROUPS_OF_PODS;
/// The same of workloads, or parts of one: no split has more, and each takes memory.
const MAX_WORKLOADS: usize = 200;
/// Stands for names that are not told apart.
const OTHERS: &str = "(others)";

/// The pods of one workload; an index into [`PodRegistry::groups`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u16);

#[derive(Debug, Clone, Copy)]
struct Pod {
    id: PodId,
    group: GroupId,
}

/// A pod and its name; in a table, found by the name's hash, which is taken once for all tables.
#[derive(Debug, Clone)]
struct Named {
    hash: u64,
    name: Box<str>,
    pod: Pod,
}

#[derive(Debug, Default)]
struct Names {
    pods: Vec<(String, GroupId)>,
    by_name: HashTable<Named>,
    groups: Vec<Group>,
    by_group: HashMap<Group, GroupId>,
    /// The entry that counts the names of a group beyond the cap together.
    rest_of_group: HashMap<GroupId, Pod>,
}

/// The pod names and groups of a run, in the order in which they were first seen.
#[derive(Debug)]
pub struct PodRegistry {
    mappings: Mappings,
    /// Seeded anew for every run, since names come from the peer.
    hasher: RandomState,
    names: Mutex<Names>,
}

impl PodRegistry {
    /// An empty registry that groups pods as `mappings` says.
    pub fn shared(mappings: Mappings) -> Arc<Self> {
        Arc::new(Self {
            mappings,
            hasher: RandomState::default(),
            names: Mutex::default(),
        })
    }

    /// One that knows the workloads of pods which answered before, though nothing of them may answer now.
    pub fn knowing(mappings: Mappings, pods: &[String]) -> Arc<Self> {
        let registry = Self::shared(mappings);
        let most = registry.most_groups();
        for pod in pods {
            let group = registry.mappings.group(pod);
            registry.lock().group(&group, most);
        }
        registry
    }

    fn most_groups(&self) -> usize {
        if self.mappings.are_single() {
            MAX_GROUPS
        } else {
            MAX_WORKLOADS
        }
    }

    /// `(name, group)` of every pod; the index is its [`PodId`].
    pub fn pods(&self) -> Vec<(String, GroupId)> {
        self.lock().pods.clone()
    }

    /// Every group; the index is its [`GroupId`].
    pub fn groups(&self) -> Vec<Group> {
        self.lock().groups.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod called `name`, and whether it is told apart from others (and so may be remembered).
    fn intern(&self, hash: u64, name: &str) -> (Pod, bool) {
        let mut names = self.lock();
        if let Some(pod) = find(&names.by_name, hash, name) {
            return (pod, true);
        }
        let group = names.group(&self.mappings.group(name), self.most_groups());
        if names.by_name.len() < MAX_PODS {
            let pod = names.push(name.to_owned(), group);
            insert(&mut names.by_name, hash, name, pod);
            return (pod, true);
        }
        if let Some(&rest) = names.rest_of_group.get(&group) {
            return (rest, false);
        }
        let title = others_of(&names.groups[usize::from(group.0)]);
        let rest = names.push(title, group);
        names.rest_of_group.insert(group, rest);
        (rest, false)
    }
}

/// The name that counts the pods of a group beyond the cap together.
pub(super) fn others_of(group: &Group) -> String {
    format!("(other pods of {})", group.workload)
}

/// A group, the rest of its workload and the rest of all, with how many groups there may be before the next of them counts.
pub(super) fn levels(group: &Group, most: usize) -> [(Group, usize); 3] {
    let rest_of_workload = Group {
        owner: OTHERS.to_owned(),
        ..group.clone()
    };
    let rest_of_all = Group {
        workload: OTHERS.to_owned(),
        ..rest_of_workload.clone()
    };
    [
        (group.clone(), most),
        (rest_of_workload, 2 * most),
        (rest_of_all, usize::MAX),
    ]
}

fn find(table: &HashTable<Named>, hash: u64, name: &str) -> Option<Pod> {
    let found = table.find(hash, |known| *known.name == *name)?;
    Some(found.pod)
}

fn insert(table: &mut HashTable<Named>, hash: u64, name: &str, pod: Pod) {
    let name = name.into();
    table.insert_unique(hash, Named { hash, name, pod }, |known| known.hash);
}

impl Names {
    fn push(&mut self, name: String, group: GroupId) -> Pod {
        let id = u16::try_from(self.pods.len())
            .expect("MAX_PODS and the rest of each group fit 16 bits");
        self.pods.push((name, group));
        Pod {
            id: PodId(id),
            group,
        }
    }

    /// The group's number, or that of the rest of its workload, or of the rest of all.
    fn group(&mut self, group: &Group, most: usize) -> GroupId {
        for (group, most) in levels(group, most) {
            if let Some(&id) = self.by_group.get(&group) {
                return id;
            }
            if self.groups.len() < most {
                let next = u16::try_from(self.groups.len());
                let id = GroupId(next.expect("twice MAX_GROUPS and the rest fit 16 bits"));
                self.groups.push(group.clone());
                self.by_group.insert(group, id);
                return id;
            }
        }
        unreachable!("the last level has no limit")
    }
}

/// One thread's memory of the names that it has met.
#[derive(Debug)]
pub struct Interner {
    registry: Arc<PodRegistry>,
    known: HashTable<Named>,
    groups: Vec<GroupId>,
}

impl Interner {
    /// A thread's view of `registry`.
    pub fn new(registry: Arc<PodRegistry>) -> Self {
        Self {
            registry,
            known: HashTable::new(),
            groups: Vec::new(),
        }
    }

    /// The number that stands for the pod called `name`.
    pub fn intern(&mut self, name: &str) -> PodId {
        let hash = self.registry.hasher.hash_one(name);
        if let Some(pod) = find(&self.known, hash, name) {
            return pod.id;
        }
        let (pod, told_apart) = self.registry.intern(hash, name);
        if told_apart {
            insert(&mut self.known, hash, name, pod);
        }
        self.remember(pod)
    }

    fn remember(&mut self, pod: Pod) -> PodId {
        let index = usize::from(pod.id.0);
        if self.groups.len() <= index {
            self.groups.resize(index + 1, pod.group);
        }
        self.groups[index] = pod.group;
        pod.id
    }

    /// The index of the group of the pod called `name`.
    pub fn group_of(&mut self, name: &str) -> usize {
        let pod = self.intern(name);
        usize::from(self.group(pod).0)
    }

    /// The group of a pod that this thread has interned.
    ///
    /// # Panics
    /// When `pod` was interned by another thread alone.
    pub fn group(&self, pod: PodId) -> GroupId {
        self.groups[usize::from(pod.0)]
    }

    /// The shared registry.
    pub fn registry(&self) -> &Arc<PodRegistry> {
        &self.registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(backends: &[&str]) -> Arc<PodRegistry> {
        let labels = ["v1", "v2"].map(str::to_owned);
        let texts: Vec<String> = backends.iter().map(ToString::to_string).collect();
        PodRegistry::shared(Mappings::parse(&labels, &texts).unwrap())
    }

    #[test]
    fn pods_of_one_workload_share_a_group() {
        let mut interner = Interner::new(registry(&[]));
        let one = interner.intern("app-6f79ff6b8d-fmzvc");
        let two = interner.intern("app-6f79ff6b8d-x7k2p");
        assert_ne!(one, two);
        assert_eq!(interner.group(one), interner.group(two));
        assert_eq!(interner.intern("app-6f79ff6b8d-fmzvc"), one);
    }

    #[test]
    fn pods_that_a_mapping_tells_apart_form_two_groups() {
        let mut interner = Interner::new(registry(&["v2=app-749cf45bd6-*"]));
        let stable = interner.intern("app-6f79ff6b8d-fmzvc");
        let canary = interner.intern("app-749cf45bd6-9psrh");
        assert_ne!(interner.group(stable), interner.group(canary));
    }

    #[test]
    fn a_million_names_stay_bounded_and_keep_their_workload() {
        let mut interner = Interner::new(registry(&[]));
        for ordinal in 0..100_000 {
            interner.intern(&format!("web-{ordinal}"));
            interner.intern(&format!("x{ordinal}y"));
        }
        let registry = interner.registry();
        assert!(registry.pods().len() <= MAX_PODS + 4 * MAX_WORKLOADS);
        assert!(registry.groups().len() <= 2 * MAX_WORKLOADS + 2);
        let beyond = interner.intern("web-1000000");
        let GroupId(group) = interner.group(beyond);
        assert_eq!(
            interner.registry().groups()[usize::from(group)].workload,
            "web"
        );
    }
}
