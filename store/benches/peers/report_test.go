package main

import (
	"strings"
	"testing"
	"time"
)

func figures(rates ...float64) (outcomes []outcome) {
	for _, rate := range rates {
		outcomes = append(outcomes, outcome{rate: rate, p50: time.Millisecond, p99: 2500 * time.Microsecond})
	}
	return outcomes
}

func example() *report {
	own := contender{store: ownStore, level: powerLoss, setting: "`synced`", promise: "It is there.", source: "ours"}
	slower := contender{store: "Slower", level: powerLoss, setting: "default", promise: "It is there, too.", source: "theirs"}
	faster := contender{store: "Faster", level: powerLoss, setting: "default", promise: "It may be there.", source: "others"}
	silent := outcome{rate: 200}
	return &report{
		span: span{warmUp: time.Second, measure: 2 * time.Second}, rounds: 3, versions: []string{"A 1", "B 2"},
		contenders: []contender{own, slower, faster},
		cells: []*cell{
			{contender: own, work: alone, way: way{name: "directly"}, outcomes: figures(90, 100, 120)},
			{contender: slower, work: alone, way: way{name: "in a way"}, outcomes: figures(50, 10, 49)},
			{contender: faster, work: alone, way: way{name: "in its way"}, outcomes: []outcome{silent, silent, silent}},
		},
	}
}

func TestATableHasMediansSpreadsAndRatios(t *testing.T) {
	const want = `| work | store | records per second | p50 · p99 | logstore / it | how |
|---|---|---|---|---|---|
| 1 publisher | logstore, ` + "`synced`" + ` | 100 (90–120) | 1.00 · 2.50 ms |  | directly |
| 1 publisher | Slower, default | 49 (10–50) | 1.00 · 2.50 ms | 2.04 | in a way |
| 1 publisher | Faster, default | 200 (200–200) |  | **0.50** | in its way |
`
	if got := example().table(powerLoss); got != want {
		t.Errorf("it is\n%s", got)
	}
	if got := example().table(processEnd); strings.Contains(got, "publisher") {
		t.Errorf("figures of another level are among\n%s", got)
	}
}

func TestTheSectionSaysWhatWasMeasuredAndWhatIsPromised(t *testing.T) {
	section := example().section("a machine", "abc")
	for _, part := range []string{
		heading + "\n", "### Acknowledged records survive a power loss\n", "| Faster, default | It may be there. | [documentation](others) |",
		"Measured: A 1; B 2. Machine: a machine. Commit: abc.", "for 2s after a warm-up of 1s", "records of 100 bytes",
	} {
		if !strings.Contains(section, part) {
			t.Errorf("%q is not in\n%s", part, section)
		}
	}
}

func TestTheMiddleRoundCounts(t *testing.T) {
	if got := spreadOf([]float64{3, 1, 2}); got != (spread[float64]{median: 2, lowest: 1, highest: 3}) {
		t.Errorf("%v", got)
	}
	if got := spreadOf([]int{4}); got != (spread[int]{median: 4, lowest: 4, highest: 4}) {
		t.Errorf("%v", got)
	}
}
