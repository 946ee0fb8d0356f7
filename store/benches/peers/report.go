package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	benchmarksFile = "docs/benchmarks.md"
	heading        = "## Against peers"
)

// report is what the rounds have come to.
type report struct {
	span       span
	rounds     int
	contenders []contender
	versions   []string
	cells      []*cell
	// failures are those of loads that were repeated.
	failures []error
}

// tables are a table for each level, and one of what acknowledgements promise.
func (r *report) tables() string {
	var text strings.Builder
	for _, level := range levels {
		fmt.Fprintf(&text, "### %s\n\n%s\n", strings.ToUpper(level.String()[:1])+level.String()[1:], r.table(level))
	}
	fmt.Fprintf(&text, "### What an acknowledgement promises\n\n%s", r.promises())
	if len(r.failures) > 0 {
		text.WriteString("\nThese loads failed and were repeated:\n\n")
	}
	for _, failure := range r.failures {
		fmt.Fprintf(&text, "- %s\n", strings.Join(strings.Fields(failure.Error()), " "))
	}
	return text.String()
}

func (r *report) table(level level) string {
	text := "| work | store | records per second | p50 · p99 | logstore / it | how |\n|---|---|---|---|---|---|\n"
	for _, work := range works {
		var own float64
		for _, cell := range r.cells {
			if cell.contender.level != level || cell.work != work {
				continue
			}
			rate := spreadOf(rates(cell.outcomes))
			ratio := ""
			if cell.contender.store == ownStore {
				own = rate.median
			} else {
				ratio = formatRatio(own / rate.median)
			}
			text += fmt.Sprintf("| %s | %s | %.0f (%.0f–%.0f) | %s | %s | %s |\n", work, cell.contender, rate.median, rate.lowest,
				rate.highest, formatLatencies(cell.outcomes), ratio, cell.way.name)
		}
	}
	return text
}

func rates(outcomes []outcome) []float64 {
	var all []float64
	for _, outcome := range outcomes {
		all = append(all, outcome.rate)
	}
	return all
}

// formatRatio makes what is not ahead easy to see.
func formatRatio(ratio float64) string {
	if ratio < 1 {
		return fmt.Sprintf("**%.2f**", ratio)
	}
	return fmt.Sprintf("%.2f", ratio)
}

// formatLatencies gives the medians of the rounds, where a client has told latencies.
func formatLatencies(outcomes []outcome) string {
	var p50, p99 []time.Duration
	for _, outcome := range outcomes {
		p50, p99 = append(p50, outcome.p50), append(p99, outcome.p99)
	}
	if spreadOf(p50).lowest == 0 {
		return ""
	}
	milliseconds := func(durations []time.Duration) float64 {
		return float64(spreadOf(durations).median) / float64(time.Millisecond)
	}
	return fmt.Sprintf("%.2f · %.2f ms", milliseconds(p50), milliseconds(p99))
}

func (r *report) promises() string {
	text := "| store | promise | source |\n|---|---|---|\n"
	for _, contender := range r.contenders {
		text += fmt.Sprintf("| %s | %s | [documentation](%s) |\n", contender, contender.promise, contender.source)
	}
	return text
}

// section is the part of the document that is ours.
func (r *report) section(machine, commit string) string {
	return fmt.Sprintf(`%s

Written by `+"`make bench-peers`"+`; do not edit. Every store appends records of %d bytes to one log (a namespace, a stream, a topic with
one partition) on the same disk, one copy, over the loopback interface; servers and clients share the cores. Stores run as they
come, but for the setting that is named, and Redis neither takes snapshots nor rewrites its file meanwhile. There were %d rounds. In
each of them every line was measured once, for %s after a warm-up of %s, on an empty log and with nothing left to write from before.
A figure is the median of its rounds, with the lowest and highest beside it. Latencies are those of acknowledgements, of a whole
batch where a client waits for that; where a client does not tell them there are none. Of the ways that a store's clients have for a
work all were tried before the rounds, and the fastest is what counts; "how" names it. A ratio in bold is below 1: there the peer is
ahead.

%s
Measured: %s. Machine: %s. Commit: %s.
`, heading, recordBytes, r.rounds, r.span.measure, r.span.warmUp, r.tables(), strings.Join(r.versions, "; "), machine, commit)
}

// write puts the section into the document, in the place of the one before it.
func (r *report) write(paths paths) error {
	file := filepath.Join(paths.root, benchmarksFile)
	document, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("failed to read the benchmarks: %w", err)
	}
	section := r.section(machine(), commit(paths.root))
	if err := os.WriteFile(file, []byte(withSection(string(document), heading, section)), 0o644); err != nil {
		return fmt.Errorf("failed to write the benchmarks: %w", err)
	}
	say("wrote the section %q of %s", strings.TrimPrefix(heading, "## "), benchmarksFile)
	return nil
}
