//! Independent reference values for the tests beside the functions; `scripts/reference_sequence.py` writes them.

/// One value of a function.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) arguments: [Vec<f64>; 3],
    pub(super) value: f64,
}

impl Reference {
    /// The first number of an argument.
    pub(super) fn number(&self, argument: usize) -> f64 {
        self.arguments[argument][0]
    }

    /// An argument's numbers as counts.
    pub(super) fn counts(&self, argument: usize) -> Vec<u64> {
        let numbers = self.arguments[argument].iter();
        numbers
            .map(|number| number.to_string().parse().unwrap())
            .collect()
    }

    /// Asserts that `got` is the value within a relative error, or an absolute one of 1e-300.
    pub(super) fn assert_close(&self, got: f64, relative: f64) {
        let error = (got - self.value).abs();
        assert!(
            error <= relative * self.value.abs() + 1e-300,
            "{self:?}: {got}"
        );
    }
}

/// Every reference value of `function`.
pub(super) fn of(function: &str) -> Vec<Reference> {
    let table = include_str!("../../tests/data/reference_sequence.csv");
    let rows: Vec<Reference> = table
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|fields| fields[0] == function)
        .map(|fields| Reference {
            arguments: [1, 2, 3].map(|field| {
                let numbers = fields[field].split_whitespace();
                numbers.map(|number| number.parse().unwrap()).collect()
            }),
            value: fields[4].parse().unwrap(),
        })
        .collect();
    assert!(!rows.is_empty(), "no reference values of {function}");
    rows
}
