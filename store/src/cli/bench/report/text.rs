//! The same for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use logstore_api::Durability;

use super::{Latency, Outcome, Part, Report, Shape, WarmUp};

impl Report {
    pub(in super::super) fn text(&self) -> String {
        let mut text = String::new();
        let Self { work, seconds, .. } = self;
        let (operations, records) = (grouped(self.operations as f64), grouped(self.records as f64));
        let word = work.word();
        let _ = writeln!(text, "{word}: {operations} operations, {records} records in {seconds:.2} s{}", self.mark());
        let mut line = |name: &str, what: String| {
            if !what.is_empty() {
                let _ = writeln!(text, "  {name:<11} {what}");
            }
        };
        line("server", format!("{} logstore {}, tool {}", self.server, self.server_version, self.tool_version));
        line("load", self.load());
        line("throughput", self.throughput());
        line("latency", self.latency_us.as_ref().map(Latency::text).unwrap_or_default());
        for (name, part) in [("appends", &self.appends), ("reads", &self.reads)] {
            line(name, part.as_ref().map(Part::text).unwrap_or_default());
        }
        if let (Some(late), Some(not_sent)) = (self.late, self.not_sent) {
            let what = format!(
                "{} left more than 1 ms after they were due, {} never",
                grouped(late as f64),
                grouped(not_sent as f64)
            );
            line("late", what);
        }
        let WarmUp { seconds, operations, .. } = self.warm_up;
        if seconds > 0.0 {
            line("warm-up", format!("{} operations in {seconds:.2} s, not counted", grouped(operations as f64)));
        }
        line("refused", counts(&self.refused));
        line("errors", counts(&self.errors));
        for (name, count, what) in [
            ("unanswered", self.unanswered, "requests, of which it is not known what became of them"),
            ("undelivered", self.undelivered.unwrap_or_default(), "records, which no follower should have missed"),
            ("foreign", self.foreign, "records that this tool has not written, and did not check"),
            ("wrong", self.wrong, "records that are not what was written"),
        ] {
            line(name, if count == 0 { String::new() } else { format!("{} {what}", grouped(count as f64)) });
        }
        text
    }

    fn mark(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        match self.outcome {
            Outcome::Complete => String::new(),
            Outcome::Interrupted => "; INTERRUPTED, partial results".to_owned(),
            Outcome::Stopped => format!("; STOPPED, partial results: {reason}"),
        }
    }

    fn load(&self) -> String {
        let Shape { connections, pipeline, threads, rate, durability, record_bytes, producer, .. } = &self.shape;
        let mut text = format!("{connections} connections, pipeline {pipeline}, {threads} threads");
        match rate {
            Some(rate) => _ = write!(text, ", open loop at {rate}/s"),
            None => text.push_str(", closed loop"),
        }
        if let (Some(durability), Some(bytes), Some(producer)) = (durability, record_bytes, producer) {
            let level = match durability {
                Durability::Written => "written",
                Durability::Synced => "synced",
            };
            let producer = if *producer { "with" } else { "no" };
            let _ = write!(text, "; {bytes} B records, {level}, {producer} producer");
        }
        for (count, what) in [
            (self.shape.records_per_request, "records each"),
            (self.shape.append_percent, "% appends"),
            (self.shape.followers, "followers"),
        ] {
            let _ = count.map(|count| write!(text, "; {count} {what}"));
        }
        let namespaces = if self.namespaces > 1 { format!(" and {} more", self.namespaces - 1) } else { String::new() };
        let _ = write!(text, "; namespace {}{namespaces}; seed {}", self.namespace, self.seed);
        text
    }

    fn throughput(&self) -> String {
        let [operations, records] = [self.operations_per_second, self.records_per_second].map(grouped);
        format!("{operations} operations/s, {records} records/s, {:.2} MB/s", self.payload_bytes_per_second / 1e6)
    }
}

impl Latency {
    fn text(&self) -> String {
        let Self { p50, p90, p99, p999, max, mean } = self;
        let all = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max), ("mean", mean)];
        all.map(|(name, micros)| format!("{name} {}", time(*micros))).join(", ")
    }
}

impl Part {
    fn text(&self) -> String {
        let latency = self.latency_us.as_ref().map(Latency::text).unwrap_or_default();
        format!("{} operations; {latency}", grouped(self.operations as f64))
    }
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().map(|(code, count)| format!("{code} {}", grouped(*count as f64))).collect::<Vec<_>>().join(", ")
}

/// A number of microseconds, with three digits or more.
fn time(micros: f64) -> String {
    match micros {
        micros if micros < 1e3 => format!("{micros:.0} µs"),
        micros if micros < 1e4 => format!("{:.2} ms", micros / 1e3),
        micros if micros < 1e6 => format!("{:.0} ms", micros / 1e3),
        micros => format!("{:.2} s", micros / 1e6),
    }
}

/// A count with its thousands apart; small rates keep a digit.
pub(in super::super) fn grouped(number: f64) -> String {
    if number < 100.0 && number.fract() > 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (number, text) in [(0.0, "0"), (7.25, "7.2"), (999.0, "999"), (1000.0, "1,000"), (1234567.4, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        for (micros, text) in [(950.2, "950 µs"), (1234.0, "1.23 ms"), (12_345.0, "12 ms"), (1.5e6, "1.50 s")] {
            assert_eq!(time(micros), text);
        }
    }
}
