package main

import (
	"context"
	"errors"
	"testing"
)

func fixed(name string, rate float64, loads *[]string) way {
	return way{name: name, load: func(context.Context, span) (outcome, error) {
		*loads = append(*loads, name)
		return outcome{rate: rate}, nil
	}}
}

func TestTheFastestWayIsMeasuredInEveryRoundOnAnEmptyLog(t *testing.T) {
	var loads []string
	fresh := 0
	store := contender{store: "A", level: powerLoss, ways: map[work][]way{
		alone: {fixed("only", 1, &loads)}, apart: {fixed("slow", 1, &loads), fixed("fast", 2, &loads)},
		together: {fixed("only", 3, &loads)}, batched: {fixed("fast", 5, &loads), fixed("slow", 4, &loads)},
	}, fresh: func(context.Context) error { fresh++; return nil }}
	cells, err := choose(t.Context(), []contender{store})
	if err != nil {
		t.Fatal(err)
	}
	if failures, err := rounds(t.Context(), options{rounds: 2}, cells); err != nil || len(failures) > 0 {
		t.Fatal(failures, err)
	}
	for number, name := range []string{"only", "fast", "only", "fast"} {
		if cell := cells[number]; cell.work != works[number] || cell.way.name != name || len(cell.outcomes) != 2 {
			t.Errorf("%s is done %s, %d times", cell.work, cell.way.name, len(cell.outcomes))
		}
	}
	if fresh != len(loads) {
		t.Errorf("%d loads had %d empty logs", len(loads), fresh)
	}
}

func TestAWayThatFailsIsNotChosen(t *testing.T) {
	broken := errors.New("broken")
	fail := way{name: "broken", load: func(context.Context, span) (outcome, error) { return outcome{}, broken }}
	store := contender{store: "A", fresh: nothing}
	var loads []string
	if best, err := fastest(t.Context(), store, []way{fail, fixed("good", 1, &loads), fail}); err != nil || best.name != "good" {
		t.Errorf("%s, %v", best.name, err)
	}
	if _, err := fastest(t.Context(), store, []way{fail, fail}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestALoadThatFailsIsRepeatedOnceAndTold(t *testing.T) {
	broken := errors.New("broken")
	loads, working := 0, 2
	flaky := way{name: "flaky", load: func(context.Context, span) (outcome, error) {
		loads++
		if loads == working {
			return outcome{rate: 7}, nil
		}
		return outcome{}, broken
	}}
	measured := &cell{contender: contender{store: "A", fresh: nothing}, way: flaky}
	failures, err := rounds(t.Context(), options{rounds: 1}, []*cell{measured})
	if err != nil || len(failures) != 1 || !errors.Is(failures[0], broken) || measured.outcomes[0].rate != 7 {
		t.Errorf("%v, %v, %v", failures, err, measured.outcomes)
	}
	if _, err := rounds(t.Context(), options{rounds: 1}, []*cell{measured}); !errors.Is(err, broken) {
		t.Error(err)
	}
}
