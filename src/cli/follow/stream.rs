//! The stream of objects: read on a thread of its own, one value at a time, and held as they are now.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde_json::{Value, json};

use super::CommandError;
use crate::manifest::{Input, ManifestError, Manifests};
use crate::report::escape::terminal;

/// So many values wait until they are looked at; the stream waits then.
const MOST_WAITING: usize = 4;
/// A longer value is none of kubectl's: etcd holds objects of 1.5 MiB at most, and a list a few of them.
const MOST_BYTES: u64 = 8 << 20;
/// A stream of more objects is none of a rollout: each that comes has all of them read again.
const MOST_OBJECTS: usize = 1000;

/// What the stream brought.
pub(super) enum Event {
    Value(Value),
    Unread(String),
    End,
}

/// Reads the values on a thread of its own, which ends with the process.
pub(super) fn events(objects: &Path) -> Result<Receiver<Event>, CommandError> {
    let source: Box<dyn Read + Send> = match objects.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(objects).map_err(|error| {
            let path = objects.display().to_string();
            CommandError::usage(format!("{}: {error}", terminal(&path)))
        })?),
    };
    let (send, events) = sync_channel(MOST_WAITING);
    let begun = std::thread::Builder::new().spawn(move || read(source, &send));
    match begun {
        Ok(_) => Ok(events),
        Err(error) => Err(CommandError::not_measured(format!(
            "no thread that reads the objects could start: {error}"
        ))),
    }
}

fn read(source: impl Read, send: &SyncSender<Event>) {
    let taken = Arc::new(AtomicU64::new(0));
    let source = Bounded {
        source,
        taken: Arc::clone(&taken),
    };
    let values = serde_json::Deserializer::from_reader(BufReader::new(source));
    for value in values.into_iter::<Value>() {
        taken.store(0, Ordering::Relaxed);
        let event = match value {
            Ok(value) => Event::Value(value),
            Err(error) if error.is_io() => Event::Unread(format!("the stream of objects: {error}")),
            Err(error) => Event::Unread(format!(
                "the stream of objects is no JSON: {error}; give what kubectl get -o json --watch prints"
            )),
        };
        let is_unread = matches!(event, Event::Unread(_));
        if send.send(event).is_err() || is_unread {
            break;
        }
    }
    let _ = send.send(Event::End);
}

/// What breaks off where a value does not end.
struct Bounded<R> {
    source: R,
    /// Bytes since the last value.
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let before = self.taken.fetch_add(read as u64, Ordering::Relaxed);
        if before + read as u64 > MOST_BYTES {
            let limit = MOST_BYTES >> 20;
            return Err(io::Error::other(format!(
                "one object is longer than {limit} MiB: watch the objects of one rollout"
            )));
        }
        Ok(read)
    }
}

/// The objects as they are now.
#[derive(Default)]
pub(super) struct Objects(BTreeMap<[String; 3], Value>);

impl Objects {
    /// Takes an object, a list of some, or what `kubectl get --output-watch-events` says became of one.
    pub(super) fn take(&mut self, value: Value) -> Result<(), CommandError> {
        let (is_deleted, object) = match value {
            Value::Object(mut event)
                if event.contains_key("type") && event.contains_key("object") =>
            {
                let object = event.remove("object").unwrap_or_default();
                match event.get("type").and_then(Value::as_str) {
                    Some("BOOKMARK") => return Ok(()),
                    Some("ERROR") => return Err(broke_off(&object)),
                    kind => (kind == Some("DELETED"), object),
                }
            }
            // What a server answers in place of objects.
            status if status.get("kind").is_some_and(|kind| kind == "Status") => {
                return Err(broke_off(&status));
            }
            object => (false, object),
        };
        let items = match object {
            Value::Object(mut list) if list.get("items").is_some_and(Value::is_array) => {
                match list.remove("items") {
                    Some(Value::Array(items)) => items,
                    _ => Vec::new(),
                }
            }
            object => vec![object],
        };
        for item in items {
            let name = |field: &str| {
                item.pointer(field)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let key = ["/kind", "/metadata/namespace", "/metadata/name"].map(name);
            // What is being deleted asks for nothing any more.
            if is_deleted || item.pointer("/metadata/deletionTimestamp").is_some() {
                self.0.remove(&key);
            } else {
                self.0.insert(key, item);
            }
        }
        if self.0.len() > MOST_OBJECTS {
            return Err(CommandError::usage(format!(
                "the stream has more than {MOST_OBJECTS} objects: watch those of one rollout"
            )));
        }
        Ok(())
    }

    /// What they say together.
    pub(super) fn manifests(&self) -> Result<Manifests, ManifestError> {
        let items: Vec<&Value> = self.0.values().collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        Manifests::read(&[Input {
            name: "the stream".to_owned(),
            bytes: list.to_string().into_bytes(),
            is_found: false,
        }])
    }
}

/// That the server sent a status, and no object.
fn broke_off(status: &Value) -> CommandError {
    let message = status.get("message").and_then(Value::as_str);
    CommandError::usage(format!(
        "the watch broke off: {}; start it again",
        terminal(message.unwrap_or("an error"))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<String> {
        let (send, events) = sync_channel(64);
        read(text.as_bytes(), &send);
        drop(send);
        let events = events.iter().map(|event| match event {
            Event::Value(value) => value.to_string(),
            Event::Unread(why) => why,
            Event::End => "end".to_owned(),
        });
        events.collect()
    }

    #[test]
    fn values_are_read_as_they_come_and_none_without_end() {
        assert_eq!(
            events("{\"a\":1}\n[2]{}"),
            ["{\"a\":1}", "[2]", "{}", "end"]
        );
        let many = format!("[\"{}\"]", "x".repeat(5 << 20)).repeat(2);
        assert_eq!(events(&many).len(), 3);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(9 << 20));
        let [why, end] = &events(&long)[..] else {
            panic!()
        };
        assert!(why.contains("one object is longer than 8 MiB"), "{why}");
        assert_eq!(end, "end");
        assert!(events("{\"a\":")[0].contains("is no JSON"));
    }

    #[test]
    fn an_object_that_is_deleted_is_forgotten() {
        let object = |name: &str| json!({"kind": "Ingress", "metadata": {"name": name, "namespace": "shop"}});
        let event = |kind: &str, object: Value| json!({"type": kind, "object": object});
        let mut objects = Objects::default();
        objects
            .take(json!({"kind": "List", "items": [object("a"), object("b")]}))
            .unwrap();
        objects.take(event("ADDED", object("c"))).unwrap();
        objects.take(event("BOOKMARK", object("d"))).unwrap();
        objects.take(event("DELETED", object("a"))).unwrap();
        let mut going = object("b");
        going["metadata"]["deletionTimestamp"] = "2026-11-29T02:34:08Z".into();
        objects.take(going).unwrap();
        let left: Vec<&String> = objects.0.keys().map(|key| &key[2]).collect();
        assert_eq!(left, ["c"]);
        let gone = json!({"kind": "Status", "message": "too old resource version"});
        for status in [event("ERROR", gone.clone()), gone] {
            let error = objects.take(status).unwrap_err();
            assert!(
                error.message.contains("too old resource version"),
                "{}",
                error.message
            );
        }
    }
}
