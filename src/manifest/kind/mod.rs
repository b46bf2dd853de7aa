//! One file for each kind that splits traffic: its fields → [`Route`]s.

mod contour;
mod flagger;
mod gateway;
pub(super) mod ingress;
mod istio;
mod openshift;
mod rollout;
mod smi;
mod traefik;

use super::ManifestError;
use super::object::Object;
use super::route::Route;

/// The kinds that are read, for a person.
pub(super) const KINDS: &str = "Ingress, HTTPRoute, GRPCRoute, VirtualService (its http), TraefikService, IngressRoute, TrafficSplit, \
     Rollout (its canary strategy), Canary (Flagger), HTTPProxy and Route (OpenShift)";

/// All rules of all objects, in their order.
///
/// # Errors
/// The first field that can't be what its kind says.
pub(super) fn routes(objects: &[Object]) -> Result<Vec<Route<'_>>, ManifestError> {
    let mut routes = ingress::routes(objects)?;
    for object in objects {
        routes.extend(gateway::routes(object)?);
        routes.extend(istio::routes(object, objects)?);
        routes.extend(smi::routes(object)?);
        routes.extend(rollout::routes(object)?);
        routes.extend(flagger::routes(object)?);
        routes.extend(openshift::routes(object)?);
    }
    routes.extend(traefik::routes(objects)?);
    routes.extend(contour::routes(objects)?);
    Ok(routes)
}
