//! What rounds have brought: the median counts, and the spread is told.

/// Values of one measure, one for each round, in a unit that whoever measures knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// One more round.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted[sorted.len() / 2]
    }

    /// `median (lowest to highest)`, each written by `unit`.
    pub(crate) fn tell(&self, unit: impl Fn(f64) -> String) -> String {
        let sorted = self.sorted();
        let [low, high] = [sorted[0], sorted[sorted.len() - 1]].map(&unit);
        format!("{} ({low} to {high})", unit(self.median()))
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// Runs all sides once in each round, so that a machine that is slow for a while is slow for all of them.
pub(crate) fn rounds<const SIDES: usize>(
    name: &str,
    count: usize,
    mut sides: [&mut dyn FnMut() -> f64; SIDES],
) -> [Samples; SIDES] {
    let mut samples = [(); SIDES].map(|()| Samples::default());
    for round in 1..=count {
        eprintln!("{name}: round {round} of {count}");
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            samples.push(side());
        }
    }
    samples
}
