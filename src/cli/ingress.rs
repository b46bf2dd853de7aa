//! `lbtest ingress`: the embedded ingress alone, until Ctrl-C.

use std::fmt::Write;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use clap::Args;

use super::{CommandError, output};
use crate::exit::ExitStatus;
use crate::ingress::{
    Config, CookieRule, Delay, Discipline, ExtraHeader, Fault, HeaderRule, Ingress, LimitStatus,
    Page, PathRule, PodCounts, RouteBy, Shift,
};
use crate::load::machine::check_open_files;
use crate::plan::quantity;
use crate::split::Split;

/// The limiter's burst where nobody says it, as ingress-nginx has it.
const BURST: NonZeroU32 = NonZeroU32::new(5).expect("five");

/// How the embedded ingress behaves; shared by `ingress` and `demo`, and clashing with no option of the gate.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Embedded ingress")]
pub(super) struct BehaviourArgs {
    /// The split that the ingress applies (default in demo: the expected one)
    #[arg(long, value_name = "v1=70,v2=30")]
    pub split: Option<String>,
    /// How many pods each backend has
    #[arg(long, value_name = "v1=3,v2=1")]
    pub pods: Option<PodCounts>,
    /// What a request's backend depends on: random, round-robin, per-connection, per-client or sticky
    #[arg(long, value_name = "NAME", default_value = "random")]
    pub discipline: Discipline,
    /// What a backend is drawn by: its weight, or its number of pods (weights or pods)
    #[arg(long, value_name = "NAME", default_value = "weights")]
    pub route_by: RouteBy,
    /// A header that chooses: its value always leads to the canary (the split's second backend), never to the primary;
    /// with NAME=VALUE, that value alone leads to the canary
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub route_header: Option<HeaderRule>,
    /// A cookie that chooses by the values always and never, where the header does not
    #[arg(long, value_name = "NAME")]
    pub route_cookie: Option<CookieRule>,
    /// A path with weights of its own; repeatable
    #[arg(long, value_name = "/beta:v1=0,v2=100")]
    pub route_path: Vec<PathRule>,
    /// A backend without endpoints; repeatable
    #[arg(long, value_name = "LABEL")]
    pub absent: Vec<String>,
    /// Requests a minute for each client address, as ingress-nginx limits them
    #[arg(long, value_name = "N")]
    pub limit_rpm: Option<NonZeroU32>,
    /// The limiter's burst, in units of the limit
    #[arg(long, value_name = "M", default_value_t = BURST)]
    pub burst_multiplier: NonZeroU32,
    /// How the limiter rejects: 503 or 429
    #[arg(
        long,
        value_name = "STATUS",
        default_value = "503",
        requires = "limit_rpm"
    )]
    pub limit_status: LimitStatus,
    /// Limit this backend alone, behind the split
    #[arg(long, value_name = "LABEL")]
    pub limit_backend: Option<String>,
    /// Answers that fail: LABEL=KIND:SHARE, KIND a status, error, close or reset; repeatable
    #[arg(long, value_name = "v2=503:100%")]
    pub fault: Vec<Fault>,
    /// Answers that come late; repeatable
    #[arg(long, value_name = "v2=50ms")]
    pub delay: Vec<Delay>,
    /// A split that applies from this request on; repeatable
    #[arg(long, value_name = "1500:v1=50,v2=50")]
    pub shift: Vec<Shift>,
    /// Requests after which a connection is closed
    #[arg(long, value_name = "N")]
    pub close_after: Option<NonZeroU64>,
    /// Answer everything with a 308 to https
    #[arg(long)]
    pub ssl_redirect: bool,
    /// What a pod answers: flask, echo, whoami, podinfo, echoserver, agnhost, ealenn, nginx-hello, istio, kong, grpc or none
    #[arg(long, value_name = "NAME", default_value = "flask")]
    pub page: Page,
    /// Also take TCP connections here, each of which a pod greets with its name; 0 takes a free port
    #[arg(long, value_name = "ADDRESS", value_parser = quantity::listen)]
    pub listen_tcp: Option<SocketAddr>,
    /// A header of the pods' answers, such as 'Age: 30'; repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    pub response_header: Vec<ExtraHeader>,
}

impl BehaviourArgs {
    /// The ingress's options, where `expected` is the split to apply unless another is given.
    pub(super) fn config(
        &self,
        expected: Option<&Split>,
        host: Option<String>,
        seed: u64,
    ) -> Result<Config, CommandError> {
        let of_the_limiter = [
            ("--limit-backend", self.limit_backend.is_some()),
            (
                "--limit-status",
                self.limit_status != LimitStatus::default(),
            ),
            ("--burst-multiplier", self.burst_multiplier != BURST),
        ];
        let idle = of_the_limiter.into_iter().find(|&(_, is_given)| is_given);
        if let Some((flag, _)) = idle.filter(|_| self.limit_rpm.is_none()) {
            return Err(CommandError::usage(format!(
                "{flag} is about the limiter of --limit-rpm, which is missing: add --limit-rpm N"
            )));
        }
        let split = match (&self.split, expected) {
            (Some(text), _) => text
                .parse()
                .map_err(|error| CommandError::usage(format!("--split: {error}")))?,
            (None, Some(expected)) => expected.clone(),
            (None, None) => {
                return Err(CommandError::usage(
                    "--split is missing: say which split to apply, for example --split v1=70,v2=30",
                ));
            }
        };
        Ok(Config {
            host,
            listen_tcp: self.listen_tcp,
            pods: self.pods.clone().unwrap_or_default(),
            absent: self.absent.clone(),
            discipline: self.discipline,
            route_by: self.route_by,
            route_header: self.route_header.clone(),
            route_cookie: self.route_cookie.clone(),
            route_paths: self.route_path.clone(),
            limit_rpm: self.limit_rpm,
            burst_multiplier: self.burst_multiplier,
            limit_status: self.limit_status,
            limit_backend: self.limit_backend.clone(),
            faults: self.fault.clone(),
            delays: self.delay.clone(),
            shifts: self.shift.clone(),
            close_after: self.close_after,
            ssl_redirect: self.ssl_redirect,
            page: self.page,
            headers: self.response_header.clone(),
            seed,
            ..Config::new(split)
        })
    }
}

impl BehaviourArgs {
    /// The ingress's options, where `pods` pods of one backend, called `app`, are to share the requests
    /// unless another split is given.
    pub(super) fn config_of_pods(
        &self,
        pods: NonZeroUsize,
        host: Option<String>,
        seed: u64,
    ) -> Result<Config, CommandError> {
        let split = Split::new([("app", 1.0)]).map_err(CommandError::usage)?;
        let mut config = self.config(Some(&split), host, seed)?;
        let pods = u32::try_from(pods.get()).ok().and_then(NonZeroU32::new);
        if self.pods.is_none() && self.split.is_none() {
            config.pods = PodCounts(
                pods.map(|pods| ("app".to_owned(), pods))
                    .into_iter()
                    .collect(),
            );
        }
        Ok(config)
    }
}

/// The arguments of `ingress`.
#[derive(Debug, Args)]
pub(super) struct IngressArgs {
    /// Address and port, or a port of the loopback; 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = quantity::listen)]
    listen: SocketAddr,
    /// The only Host that is routed; others get the default backend's 404
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Fixes every draw
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    behaviour: BehaviourArgs,
}

/// Runs the embedded ingress until Ctrl-C or SIGTERM.
pub(super) fn run(args: &IngressArgs) -> Result<ExitStatus, CommandError> {
    let mut config = args.behaviour.config(None, args.host.clone(), args.seed)?;
    config.listen = args.listen;
    check_open_files().map_err(CommandError::not_measured)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::not_measured)?;
    let counts = runtime.block_on(async {
        let mut signals =
            crate::load::signals::Signals::new().map_err(CommandError::not_measured)?;
        let ingress = Ingress::bind(&config)?;
        let mut message = String::new();
        for backend in ingress.backends() {
            let _ = writeln!(message, "{}: {}", backend.label, backend.pods.join(" "));
        }
        let _ = writeln!(message, "listening on http://{}/", ingress.addr());
        if let Some(address) = ingress.tcp_addr() {
            let _ = writeln!(message, "listening on tcp://{address}");
        }
        output::print(&message);
        Ok::<_, CommandError>(
            ingress
                .serve_until(async move { signals.next().await })
                .await,
        )
    })?;
    let mut message = String::new();
    for backend in &counts.backends {
        let _ = writeln!(message, "{} {}", backend.label, backend.routed());
    }
    output::print(&message);
    Ok(ExitStatus::Pass)
}
