//! The embedded canary ingress: what the verdict is tried on, in `demo`, in trials and in tests.
//!
//! It serves HTTP/1.1 on loopback and plays an ingress with a weighted split, the pods behind it, and
//! what goes wrong with them. Its randomness is a function of a seed and the ordinal of the request,
//! so that a seed fixes the counts whatever the concurrency and the timing. It stands apart from the
//! pipeline: it needs nothing of it but the split.
//!
//! | to play | set |
//! |---|---|
//! | weights not live yet | `--split v1=100,v2=0 --shift 200:v1=70,v2=30` |
//! | weights changed during the run, a reload | `--shift 1500:v1=50,v2=50`, `--fault v1=502:50%@1500-1540` |
//! | route bypassed, uniform over pods | `--route-by pods --pods v1=3,v2=1` |
//! | equal weights; labels swapped; total ignored | `--split v1=50,v2=50`; `v1=30,v2=70`; `v1=97,v2=3` |
//! | canary without endpoints | `--absent v2` |
//! | primary dead | `--absent v1` (all 503), or `--fault v1=503:100%` (its share) |
//! | canary broken: at the ingress; in the application | `--fault v2=503:100%`; `--fault v2=error:20%` |
//! | connections dropped; a slow canary | `--fault v2=close:50%`, `v2=reset:5%`; `--delay v2=50ms` |
//! | limiter before the split; inside one version | `--limit-rpm 175 --burst-multiplier 1`; and `--limit-backend v2` |
//! | cookie affinity; stuck client; per-connection balancing | `--discipline sticky`; `per-client`; `per-connection` |
//! | weighted round-robin | `--discipline round-robin` |
//! | canary by header, by cookie | `--route-header X-Canary`, `X-Canary=beta`; `--route-cookie canary` |
//! | a path with weights of its own | `--route-path /beta:v1=0,v2=100` |
//! | wrong Host; https only | `--host`: 404 `default backend - 404`; `--ssl-redirect`: 308 |
//! | a cache in front | `--split v1=100,v2=0 --header 'Age: 30'` |
//! | nothing that identifies a pod | `--page none` |
//! | weight 0 leaks | `--split v1=99,v2=1` where 100/0 is expected |
//! | keep-alive limit | `--close-after 1000` |
//!
//! ```
//! use lbtest::parts::{Config, Ingress};
//!
//! let config = Config::new("v1=70,v2=30".parse()?);
//! let ingress = Ingress::start(&config)?;
//! println!("listening on {}", ingress.addr());
//! let counts = ingress.stop();
//! assert_eq!(counts.routed(), [0, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod counts;
mod discipline;
mod draw;
mod error;
mod exchange;
mod fault;
mod grpc;
mod host;
mod limiter;
mod option;
mod page;
mod pods;
mod router;
mod rule;
mod server;
mod shared;
mod tcp;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use discipline::{Discipline, RouteBy};
pub use fault::{Delay, Fault};
pub use limiter::LimitStatus;
pub use option::{ExtraHeader, Shift};
pub use page::Page;
pub use pods::PodCounts;
pub use rule::{CookieRule, HeaderRule, PathRule};
pub use server::{Handle, Ingress, IngressError};
