//! Finds out from the first responses of a run where they name their pods.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use http::HeaderMap;
use memchr::memmem;

use super::place::{Found, Place};
use crate::headers::Headers;
use crate::observation::status::is_refusal;

/// So many responses that name a pod must do so in the same place before it is settled.
const FIRST: u32 = 64;
/// So many responses that name nobody are kept, to see what they tell instead.
const SAMPLES: usize = 32;
/// As much of each.
const SAMPLE_BYTES: usize = 2048;

/// Looks for the place where responses name their pod; see [`Place`]. Shared by the threads of a run.
#[derive(Debug)]
pub struct Finder {
    /// What the requests send, which responses may echo; `None` where no place is to be looked for.
    request: Option<Vec<u8>>,
    /// Known once and for all; `None` within where responses contradicted each other.
    settled: OnceLock<Option<Place>>,
    /// How many responses that named a pod were looked at for another.
    heeded: AtomicUsize,
    learning: Mutex<Learning>,
}

#[derive(Debug, Default)]
struct Learning {
    agreed: u32,
    place: Option<Place>,
    rivals: Vec<Place>,
    samples: Vec<Sample>,
    several: Vec<Sample>,
}

/// A response that is kept, to see what it tells.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its status; 200 where a log has none.
    pub status: u16,
    pub headers: HeaderMap,
    /// The beginning of its body.
    pub body: Vec<u8>,
}

/// How the responses of a run name their pods beyond the usual forms.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// The place that was read.
    pub place: Option<Place>,
    /// The places that leave doubt, where none was taken; at least one.
    pub rivals: Vec<Place>,
    /// Responses that named nobody.
    pub samples: Vec<Sample>,
    /// Responses that named several workloads, or came after others left doubt.
    pub several: Vec<Sample>,
}

impl Finder {
    /// Looks for places, and takes no name that `request` contains, all that is sent, for an answer.
    pub fn new(request: Option<Vec<u8>>) -> Self {
        Self {
            request,
            settled: OnceLock::new(),
            heeded: AtomicUsize::new(0),
            learning: Mutex::default(),
        }
    }

    /// The pod that the response names, if that is beyond doubt so far.
    pub fn identify<'a>(
        &'a self,
        status: u16,
        headers: Headers<'a>,
        body: &'a [u8],
    ) -> Option<Cow<'a, str>> {
        let request = self.request.as_deref()?;
        let is_echo = |name: &str| memmem::find(request, name.as_bytes()).is_some();
        if let Some(settled) = self.settled.get() {
            let Some(place) = settled else {
                let mut learning = self.learning();
                keep(&mut learning.several, status, &headers.to_map(), body);
                return None;
            };
            let name = place.read(headers, body)?;
            return (!is_echo(name)).then_some(Cow::Borrowed(name));
        }
        let headers = headers.to_map();
        let found = Place::find(&headers, body, &is_echo);
        let mut learning = self.learning();
        // Another thread may have met a contradiction meanwhile.
        if !learning.rivals.is_empty() {
            return None;
        }
        match found {
            Found::Nobody => {
                keep(&mut learning.samples, status, &headers, body);
                None
            }
            // What answers in place of a pod may name itself, so that errors teach nothing.
            Found::One(place, name) if is_refusal(status) => {
                (learning.place == Some(place)).then(|| Cow::Owned(name.to_owned()))
            }
            Found::Several(_) if is_refusal(status) => None,
            Found::One(place, name) if learning.agrees(&place) => {
                learning.agreed += 1;
                if learning.agreed >= FIRST {
                    self.settled.get_or_init(|| Some(place));
                }
                Some(Cow::Owned(name.to_owned()))
            }
            Found::One(place, _) => {
                keep(&mut learning.several, status, &headers, body);
                self.contradicted(&mut learning, vec![place]);
                None
            }
            Found::Several(places) => {
                keep(&mut learning.several, status, &headers, body);
                self.contradicted(&mut learning, places);
                None
            }
        }
    }

    /// Keeps one of the first responses that named `name` if it names a pod of another workload too.
    pub fn heed(&self, name: &str, status: u16, headers: Headers<'_>, body: &[u8]) {
        let Some(request) = self.request.as_deref() else {
            return;
        };
        if self.heeded.load(Ordering::Relaxed) >= SAMPLES || is_refusal(status) {
            return;
        }
        self.heeded.fetch_add(1, Ordering::Relaxed);
        let is_echo = |name: &str| memmem::find(request, name.as_bytes()).is_some();
        let headers = headers.to_map();
        if Place::is_besides(name, &headers, body, &is_echo) {
            keep(&mut self.learning().several, status, &headers, body);
        }
    }

    fn learning(&self) -> MutexGuard<'_, Learning> {
        self.learning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contradicted(&self, learning: &mut Learning, places: Vec<Place>) {
        self.settled.get_or_init(|| None);
        let known = learning.place.take();
        for place in known.into_iter().chain(places) {
            if !learning.rivals.contains(&place) {
                learning.rivals.push(place);
            }
        }
    }

    /// Whether responses contradicted each other, so that none is identified any more, and what differs between them can be
    /// told from those that came since.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.settled.get(), Some(None)) && self.learning().several.len() >= SAMPLES
    }

    /// What was found.
    pub fn naming(&self) -> Naming {
        let learning = self.learning();
        Naming {
            place: learning.place.clone(),
            rivals: learning.rivals.clone(),
            samples: learning.samples.clone(),
            several: learning.several.clone(),
        }
    }
}

impl Learning {
    /// Whether `place` is the one that is known so far; the first is.
    fn agrees(&mut self, place: &Place) -> bool {
        self.place.get_or_insert_with(|| place.clone()) == place
    }
}

/// Keeps one of the first such responses.
fn keep(samples: &mut Vec<Sample>, status: u16, headers: &HeaderMap, body: &[u8]) {
    if samples.len() < SAMPLES && !is_refusal(status) {
        samples.push(Sample {
            status,
            headers: headers.clone(),
            body: body[..body.len().min(SAMPLE_BYTES)].to_vec(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identify(finder: &Finder, body: &str) -> Option<String> {
        let name = finder.identify(200, Headers::NONE, body.as_bytes());
        name.map(Cow::into_owned)
    }

    #[test]
    fn a_place_that_all_first_responses_share_is_read_from_the_first_on() {
        let finder = Finder::new(Some(Vec::new()));
        for _ in 0..2 * FIRST {
            assert_eq!(
                identify(&finder, "on shop-7c5ddbdf54-x7kfd").as_deref(),
                Some("shop-7c5ddbdf54-x7kfd")
            );
            assert_eq!(identify(&finder, "oops"), None);
        }
        assert_eq!(finder.naming().place, Some(Place::Shape));
        // Once settled, another place counts for nothing, and two names for nobody.
        assert_eq!(identify(&finder, "pod: web-0"), None);
        assert_eq!(
            identify(&finder, "shop-7c5ddbdf54-x7kfd shop-7c5ddbdf54-bcdfg"),
            None
        );
    }

    #[test]
    fn responses_that_contradict_each_other_identify_nobody_from_there_on() {
        let finder = Finder::new(Some(Vec::new()));
        assert!(identify(&finder, "on shop-7c5ddbdf54-x7kfd").is_some());
        assert_eq!(identify(&finder, "pod: web-0"), None);
        for _ in 0..SAMPLES {
            assert_eq!(identify(&finder, "on shop-7c5ddbdf54-x7kfd"), None);
        }
        assert!(finder.is_in_doubt());
        let naming = finder.naming();
        assert_eq!(naming.place, None);
        assert!(
            matches!(&naming.rivals[..], [Place::Shape, Place::Key { key, .. }] if key == "pod")
        );
    }

    #[test]
    fn a_response_that_names_another_workload_besides_is_kept() {
        let finder = Finder::new(Some(b"from edge-7c5ddbdf54-zzxxz".to_vec()));
        let heed = |body: &str| {
            let name = "shop-7c5ddbdf54-x7kfd";
            finder.heed(name, 200, Headers::NONE, body.as_bytes());
            finder.naming().several.len()
        };
        // Another pod of its own, and what the request said, tell nothing.
        assert_eq!(heed("Hostname: shop-7c5ddbdf54-x7kfd"), 0);
        assert_eq!(
            heed("peers: shop-7c5ddbdf54-bcdfg, edge-7c5ddbdf54-zzxxz"),
            0
        );
        assert_eq!(heed("to: cart-7c5ddbdf54-bcdfg"), 1);
    }

    #[test]
    fn errors_are_read_where_others_name_their_pod_and_teach_nothing() {
        let finder = Finder::new(Some(Vec::new()));
        let error = |body: &str| {
            let name = finder.identify(503, Headers::NONE, body.as_bytes());
            name.map(Cow::into_owned)
        };
        assert_eq!(error("on shop-7c5ddbdf54-x7kfd"), None);
        assert!(identify(&finder, "pod: web-0").is_some());
        assert_eq!(error("pod: web-1").as_deref(), Some("web-1"));
        assert_eq!(error("on shop-7c5ddbdf54-x7kfd"), None);
        assert!(!finder.is_in_doubt());
    }

    #[test]
    fn what_was_sent_is_no_answer() {
        let sent = b"shop.example\n/?from=shop-7c5ddbdf54-x7kfd".to_vec();
        let finder = Finder::new(Some(sent));
        assert_eq!(identify(&finder, "GET /?from=shop-7c5ddbdf54-x7kfd"), None);
        assert_eq!(
            identify(&Finder::new(None), "on shop-7c5ddbdf54-x7kfd"),
            None
        );
    }
}
