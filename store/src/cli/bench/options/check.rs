//! Options that contradict each other, or that no work uses.

use logstore_api::limits::{PRODUCERS_MAX, RECORD_BYTES_MAX};

use super::super::super::failure::{Exit, Failure};
use super::super::payload::ORIGIN_BYTES_MIN;
use super::super::{BATCH_DEFAULT, CONNECTIONS_DEFAULT, IN_FLIGHT_BYTES_MAX, PAIRS_MAX, RECORD_BYTES_DEFAULT};
use super::{Kind, Options};

impl Options {
    /// Refuses what contradicts itself.
    pub(in super::super) fn check(&self) -> Result<(), Failure> {
        self.refuse_unused()?;
        let usage = |message: String| Err(Failure::new(Exit::Usage, message));
        let size = self.record_size.unwrap_or(RECORD_BYTES_DEFAULT);
        let batch = self.batch.unwrap_or(BATCH_DEFAULT);
        let has = |kind| self.works.contains(&kind);
        if has(Kind::Batch) && batch.saturating_mul(size as u64 + 8) > RECORD_BYTES_MAX as u64 {
            return usage(format!(
                "--batch {batch} with --record-size {size} is more than {RECORD_BYTES_MAX} bytes, which is the most that a \
                 request may hold; lower one of them"
            ));
        }
        let least = ORIGIN_BYTES_MIN;
        if has(Kind::Follow) && size < least {
            return usage(format!(
                "--record-size {size} is too little for follow, whose records hold when they were sent; give at least {least}"
            ));
        }
        let connections = self.connections.unwrap_or(CONNECTIONS_DEFAULT);
        let producers = PRODUCERS_MAX as u64;
        if self.producer && connections > producers {
            return usage(format!(
                "--producer with --connections {connections}: a store remembers {producers} producers of a namespace; give \
                 --connections {producers} or less"
            ));
        }
        let pairs = connections.saturating_mul(self.namespaces.unwrap_or(1));
        if pairs > PAIRS_MAX {
            return usage(format!(
                "--connections times --namespaces is {pairs}; lower one of them, until it is at most {}",
                PAIRS_MAX
            ));
        }
        let request = if has(Kind::Batch) { batch.saturating_mul(size as u64) } else { size as u64 };
        let in_flight = connections.saturating_mul(self.pipeline.unwrap_or(1)).saturating_mul(request);
        if self.works.iter().any(|kind| kind.appends()) && in_flight > IN_FLIGHT_BYTES_MAX {
            return usage(format!(
                "--connections times --pipeline requests of {request} bytes are {in_flight} bytes in flight; lower one of them, \
                 until it is at most {}",
                IN_FLIGHT_BYTES_MAX
            ));
        }
        Ok(())
    }

    /// An option that none of the works uses was meant for something else.
    fn refuse_unused(&self) -> Result<(), Failure> {
        use Kind::{Append, Batch, Follow, Mixed, Multiget, Read, Scan};
        let appends = &[Append, Batch, Follow, Mixed][..];
        let random = &[Append, Batch, Read, Multiget, Mixed, Follow][..];
        for (name, is_given, users) in [
            ("--namespaces", self.namespaces.is_some(), &[Append, Batch, Read, Scan, Multiget, Mixed][..]),
            ("--connections", self.connections.is_some(), &[Append, Batch, Read, Scan, Multiget, Mixed]),
            ("--pipeline", self.pipeline.is_some(), random),
            ("--rate", self.rate.is_some(), random),
            ("--warm-up", self.warm_up.is_some(), random),
            ("--record-size", self.record_size.is_some(), appends),
            ("--durability", self.durability.is_some(), appends),
            ("--producer", self.producer, appends),
            ("--batch", self.batch.is_some(), &[Batch]),
            ("--get", self.get.is_some(), &[Multiget]),
            ("--append-percent", self.append_percent.is_some(), &[Mixed]),
            ("--followers", self.followers.is_some(), &[Follow]),
        ] {
            if is_given && !self.works.iter().any(|kind| users.contains(kind)) {
                let words = |kinds: &[Kind]| kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ");
                let (works, users) = (words(&self.works), words(users));
                let message = format!("{name} means nothing for {works}; leave it out, or add one of: {users}");
                return Err(Failure::new(Exit::Usage, message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(line: &str) -> Result<Options, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        let Line { options } = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        options.check().map_err(|failure| failure.to_string())?;
        Ok(options)
    }

    #[test]
    fn every_option_has_bounds_and_says_them() {
        for (line, wanted) in [
            ("append --connections 0", "invalid value '0' for '--connections <N>': give 1 to 10000"),
            ("append --connections 10001", "give 1 to 10000"),
            ("append --pipeline 0", "'--pipeline <N>': give 1 to 1024"),
            ("append --threads 0", "give 1 to 64"),
            ("append --record-size 0", "'--record-size <BYTES>': give 1 to 16777216 bytes"),
            ("append --record-size 17MiB", "give 1 to 16777216 bytes"),
            ("batch --batch 100001", "give 1 to 100000"),
            ("append --rate fast", "'--rate <N>': give requests a second"),
            ("append --rate 0", "give requests a second"),
            ("append --rate NaN", "give requests a second"),
            ("append --rate inf", "give requests a second"),
            ("append --duration 0s", "'--duration <DURATION>': give more than 0s"),
            ("append --duration 10", "give a duration such as"),
            ("append --operations 0", "'--operations <N>': give 1 or more"),
            ("mixed --append-percent 100", "give 1 to 99"),
            ("append --namespace a/../b", "--namespace <NAME>"),
            ("write", "invalid value 'write'"),
            ("", "<WORK>"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(wanted), "{line}: {error}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (line, wanted) in [
            ("append --batch 5", "--batch means nothing for append; leave it out, or add one of: batch"),
            ("scan --pipeline 16", "--pipeline means nothing for scan"),
            ("read scan --durability written", "--durability means nothing for read, scan"),
            ("follow --connections 3", "--connections means nothing for follow"),
            ("batch --batch 1000 --record-size 1MiB", "--batch 1000 with --record-size 1048576"),
            ("follow --record-size 10", "--record-size 10 is too little for follow"),
            ("append --producer --connections 2000", "--connections 1024 or less"),
            ("append --connections 10000 --namespaces 100000", "--connections times --namespaces is 1000000000"),
            ("append --connections 1000 --pipeline 1000 --record-size 1MiB", "bytes in flight"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(wanted), "{line}: {error}");
        }
        let line = "append scan --pipeline 16 --rate 12.5 --record-size 4KiB --duration 1m --namespace a/b --producer";
        let options = parse(line).unwrap();
        assert_eq!((options.record_size, options.rate), (Some(4096), Some(12.5)));
        assert_eq!(options.duration, Some(Duration::from_secs(60)));
    }
}
