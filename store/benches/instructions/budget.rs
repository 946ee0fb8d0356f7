//! The budget: what each case may cost, checked in beside this program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Where it is.
pub(crate) const PATH: &str = "store/benches/instructions/budget.json";

/// Instructions, by case.
#[derive(Serialize, Deserialize)]
pub(crate) struct Budget {
    /// What decides beside our code.
    pub(crate) made_with: Tools,
    /// Per record.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// What counts depend on beside our code. Another compiler makes other instructions; another C library has another
/// `malloc` and `memcpy`, and another valgrind may show another processor.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tools {
    pub(crate) rustc: String,
    libc: String,
    valgrind: String,
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", path].iter().collect()
}

impl Budget {
    /// The one that is checked in.
    pub(crate) fn load() -> Self {
        serde_json::from_slice(&std::fs::read(repository(PATH)).expect(PATH)).expect(PATH)
    }

    /// Checks it in, but for the commit.
    pub(crate) fn store(&self) {
        let text = serde_json::to_string_pretty(self).unwrap() + "\n";
        std::fs::write(repository(PATH), text).expect(PATH);
    }
}

impl Tools {
    /// Those of this machine.
    pub(crate) fn here() -> Self {
        let rustc = output("rustc", &["-vV"]);
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        Self {
            rustc: format!("{} for {host}", rustc.lines().next().unwrap()),
            libc: output("getconf", &["GNU_LIBC_VERSION"]),
            valgrind: output("valgrind", &["--version"]),
        }
    }

    /// In what they differ from those of a budget, as sentences.
    pub(crate) fn differences(&self, of_budget: &Self) -> impl Iterator<Item = String> {
        let Self { rustc, libc, valgrind } = self;
        [(rustc, &of_budget.rustc), (libc, &of_budget.libc), (valgrind, &of_budget.valgrind)]
            .into_iter()
            .filter(|(here, there)| here != there)
            .map(|(here, there)| format!("the budget was made with {there}, and this is {here}"))
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
