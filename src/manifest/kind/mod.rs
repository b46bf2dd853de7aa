//! One file for each kind that splits traffic: its fields → [`Route`]s.
//!
//! A new kind is a file with a [`Kind`], its `mod` line and its line in [`ALL`].

mod alb;
mod alibaba;
mod annotated;
mod apisix;
mod consul;
mod contour;
mod emissary;
mod f5;
mod flagger;
mod gateway;
mod gloo;
mod haproxy;
pub(super) mod ingress;
pub(super) mod istio;
mod knative;
mod kruise;
mod kserve;
mod kuma;
pub(super) mod listener;
mod openshift;
pub(super) mod rollout;
mod routegroup;
pub(super) mod rule;
pub(super) mod server;
mod smi;
mod traefik;
pub(super) mod unread;

use super::ManifestError;
use super::object::Object;
use super::route::Route;
use super::template;

/// How many matches before a rule are looked at to see whether they hide it.
const MAX_COMPARED: usize = 1000;

/// How the objects of some kinds are read.
#[derive(Debug)]
pub struct Kind {
    /// The kinds.
    pub names: &'static [&'static str],
    /// Their API groups; the core group is empty.
    pub groups: &'static [&'static str],
    /// Where the weights stand.
    pub weights: &'static str,
    /// What the weights mean.
    pub meaning: &'static str,
    pub(super) read: Read,
}

/// The kinds that are read.
pub static ALL: &[&Kind] = &[
    &ingress::KIND,
    &alb::KIND,
    &alibaba::KIND,
    &annotated::KIND,
    &haproxy::KIND,
    &gateway::KIND,
    &istio::KIND,
    &traefik::KIND,
    &smi::KIND,
    &rollout::KIND,
    &flagger::KIND,
    &contour::KIND,
    &openshift::KIND,
    &knative::KIND,
    &apisix::KIND,
    &kruise::KIND,
    &emissary::KIND,
    &f5::KIND,
    &consul::KIND,
    &kuma::KIND,
    &kserve::KIND,
    &routegroup::KIND,
    &gloo::KIND,
];

/// Reads one object, or all objects of the kind together.
#[derive(Debug)]
pub(super) enum Read {
    /// Each object by itself.
    Each(for<'a> fn(&'a Object, &Context<'a>) -> Result<Vec<Route<'a>>, ManifestError>),
    /// All objects, where one says what another means.
    All(for<'a> fn(&[&'a Object], &Context<'a>, &mut Reading<'a>)),
}

/// What a kind may look at beside its own objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) objects: &'a [Object],
    /// The step of a rollout that is asked for, from 1.
    pub(super) step: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Reading<'a> {
    /// All rules, in the order of their objects.
    pub(super) routes: Vec<Route<'a>>,
    /// The objects that can't be what their kind says, and why.
    pub(super) refused: Vec<(&'a Object, ManifestError)>,
}

impl<'a> Reading<'a> {
    /// Takes what reading `object` gave.
    pub(super) fn take(&mut self, object: &'a Object, read: Result<Vec<Route<'a>>, ManifestError>) {
        match read {
            Ok(routes) => self.routes.extend(routes),
            Err(error) => self.refused.push((object, error)),
        }
    }

    /// Takes out the rules whose hosts or backends are named by what is yet to be filled in.
    fn refuse_unfilled(&mut self) {
        let refused = &mut self.refused;
        self.routes.retain(|route| {
            let backends = route.backends.iter().map(|backend| &backend.name);
            let mut names = route.hosts.iter().chain(backends);
            let open = names.find(|name| template::is_placeholder(name));
            refused.extend(open.map(|name| (route.object, route.object.unfilled(name))));
            open.is_none()
        });
    }
}

/// Reads all rules of `objects`.
pub(super) fn read(objects: &[Object], step: Option<usize>) -> Reading<'_> {
    let context = Context { objects, step };
    let mut reading = Reading::default();
    for kind in ALL {
        let is_own = |object: &&Object| kind.names.iter().any(|name| object.is(name, kind.groups));
        let own: Vec<&Object> = objects.iter().filter(is_own).collect();
        match kind.read {
            Read::Each(read) => {
                for object in own {
                    reading.take(object, read(object, &context));
                }
            }
            Read::All(read) => read(&own, &context, &mut reading),
        }
    }
    reading.refuse_unfilled();
    reading.routes.sort_by_key(|route| route.object.index);
    reading.refused.sort_by_key(|(object, _)| object.index);
    reading
}

/// Whether `object` is of a kind that is read.
pub(super) fn is_read(object: &Object) -> bool {
    let mut kinds = ALL.iter();
    kinds.any(|kind| kind.names.iter().any(|name| object.is(name, kind.groups)))
}

/// The groups of the kinds of this name that are read.
pub(super) fn groups(name: &str) -> Vec<&'static str> {
    let named = ALL.iter().filter(|kind| kind.names.contains(&name));
    let mut groups: Vec<&str> = named.flat_map(|kind| kind.groups).copied().collect();
    groups.retain(|group| !group.is_empty());
    groups.dedup();
    groups
}

/// The kinds that are read, for a person.
pub(super) fn names() -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in ALL.iter().flat_map(|kind| kind.names) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    names.join(", ")
}
