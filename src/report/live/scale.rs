//! A share on a scale of characters: what is expected in the middle, the tolerance in brackets, the interval around the share.

/// Characters from the middle of a scale to where the tolerance ends; as many lie beyond it.
const TOLERANCE: usize = 4;

/// How far a share and the ends of its interval are from what is expected, in tolerances.
#[derive(Debug)]
pub(super) struct Scale {
    pub(super) share: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Scale {
    pub(super) fn distance(&self) -> f64 {
        self.share.abs()
    }

    /// `....(.==|o=.)....`, in ASCII.
    pub(super) fn drawn(&self, with_interval: bool) -> String {
        const MIDDLE: usize = 2 * TOLERANCE;
        let mut cells = ['.'; 2 * MIDDLE + 1];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the last cell"
        )]
        let place = |shift: f64| {
            let cell = MIDDLE as f64 + shift * TOLERANCE as f64;
            cell.round().clamp(0.0, 2.0 * MIDDLE as f64) as usize
        };
        if with_interval {
            cells[place(self.low)..=place(self.high)].fill('=');
        }
        cells[MIDDLE - TOLERANCE] = '(';
        cells[MIDDLE] = '|';
        cells[MIDDLE + TOLERANCE] = ')';
        cells[place(self.share)] = match self.share {
            beyond if beyond < -2.0 => '<',
            beyond if beyond > 2.0 => '>',
            _ => 'o',
        };
        cells.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_shows_where_share_and_interval_lie() {
        let drawn = |share, low, high| Scale { share, low, high }.drawn(true);
        assert_eq!(drawn(0.0, -0.5, 0.5), "....(.==o==.)....");
        assert_eq!(drawn(1.5, 1.2, 1.8), "....(...|...)=o=.");
        assert_eq!(drawn(-9.0, -9.5, -8.5), "<...(...|...)....");
        assert_eq!(drawn(9.0, 1.0, 90.0), "....(...|...)===>");
        let alone = Scale {
            share: 0.25,
            low: 0.0,
            high: 1.0,
        };
        assert_eq!(alone.drawn(false), "....(...|o..)....");
    }
}
