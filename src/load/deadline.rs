//! A time limit for one exchange after the other, on one timer.
//!
//! Nearly every exchange ends long before its limit. A timer that was set and cancelled for each would cost
//! two changes of the runtime's timer wheel a request; this one stays where it is, and moves to the exchange
//! that is under way only when it goes off.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The limit was reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// A timer for the exchanges of one request loop.
#[derive(Debug)]
pub struct Deadline {
    timer: Pin<Box<Sleep>>,
}

impl Default for Deadline {
    /// A timer that no exchange has set yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime with a clock.
    fn default() -> Self {
        Self {
            timer: Box::pin(tokio::time::sleep_until(Instant::now())),
        }
    }
}

impl Deadline {
    /// What `future` comes to within `limit` from now; a limit beyond the clock's end is none.
    ///
    /// # Errors
    /// [`Elapsed`], and `future` may be dropped.
    ///
    /// # Cancel safety
    /// Dropping it leaves `future` where it is; the timer serves the next one.
    pub async fn within<F: Future>(
        &mut self,
        limit: Duration,
        future: Pin<&mut F>,
    ) -> Result<F::Output, Elapsed> {
        self.until(Instant::now().checked_add(limit), future).await
    }

    /// What `future` comes to until `due`; `None` is no limit.
    ///
    /// # Errors
    /// [`Elapsed`], and `future` may be dropped.
    ///
    /// # Cancel safety
    /// Dropping it leaves `future` where it is; the timer serves the next one.
    pub async fn until<F: Future>(
        &mut self,
        due: Option<Instant>,
        mut future: Pin<&mut F>,
    ) -> Result<F::Output, Elapsed> {
        let Some(due) = due else {
            return Ok(future.await);
        };
        if self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        }
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            while self.timer.as_mut().poll(cx).is_ready() {
                if Instant::now() >= due {
                    return Poll::Ready(Err(Elapsed));
                }
                self.timer.as_mut().reset(due);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use super::*;

    /// Real time, since a paused clock is a feature of tokio that every build would carry: only lower bounds
    /// are asserted, and a future that is due at once with its limit wins.
    const LIMIT: Duration = Duration::from_millis(40);

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn an_exchange_has_its_whole_limit_however_many_came_before() {
        run(async {
            let mut deadline = Deadline::default();
            for _ in 0..3 {
                let exchange = pin!(tokio::time::sleep(LIMIT * 7 / 10));
                assert_eq!(deadline.within(LIMIT, exchange).await, Ok(()));
            }
            let begun = Instant::now();
            let ended = deadline.within(LIMIT, pin!(pending::<()>())).await;
            assert_eq!(ended, Err(Elapsed));
            assert!(begun.elapsed() >= LIMIT);
            assert_eq!(deadline.within(LIMIT, pin!(ready(7))).await, Ok(7));
        });
    }

    #[test]
    fn a_shorter_limit_is_kept_after_a_longer_one() {
        run(async {
            let hour = Duration::from_hours(1);
            let mut deadline = Deadline::default();
            let exchange = pin!(tokio::time::sleep(LIMIT));
            assert_eq!(deadline.within(hour, exchange).await, Ok(()));
            let ended = deadline.within(LIMIT, pin!(pending::<()>())).await;
            assert_eq!(ended, Err(Elapsed));
        });
    }

    #[test]
    fn a_limit_beyond_the_end_of_time_is_none() {
        let ended = run(async {
            let exchange = pin!(tokio::time::sleep(LIMIT));
            Deadline::default().within(Duration::MAX, exchange).await
        });
        assert_eq!(ended, Ok(()));
    }
}
