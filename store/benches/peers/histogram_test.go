package main

import (
	"testing"
	"time"
)

func TestEverySlotBeginsWithItsValue(t *testing.T) {
	var h histogram
	for number := range h.counts {
		if found := slot(value(number)); found != number {
			t.Fatalf("slot %d begins with %d, which is in slot %d", number, value(number), found)
		}
	}
	if last := slot(1<<64 - 1); last != len(h.counts)-1 {
		t.Errorf("the largest value is in slot %d of %d", last, len(h.counts))
	}
}

func TestPercentilesAreExactToAPercent(t *testing.T) {
	var h histogram
	for number := range 1000 {
		h.record(time.Duration(number+1) * time.Microsecond)
	}
	for percent, exact := range map[float64]time.Duration{
		0: time.Microsecond, 50: 500 * time.Microsecond, 99: 990 * time.Microsecond, 100: time.Millisecond,
	} {
		if found := h.percentile(percent); found > exact || found < exact-exact/100 {
			t.Errorf("percentile %v is %s instead of %s", percent, found, exact)
		}
	}
}

func TestHistogramsAddUp(t *testing.T) {
	var low, high histogram
	low.record(time.Millisecond)
	high.record(time.Second)
	high.record(-time.Second)
	low.add(&high)
	if low.total != 3 || low.percentile(0) != 0 || low.percentile(100) < 990*time.Millisecond {
		t.Errorf("of three durations: %d, from %s to %s", low.total, low.percentile(0), low.percentile(100))
	}
}

func TestNothingRecordedHasNoPercentile(t *testing.T) {
	var h histogram
	if h.percentile(50) != 0 {
		t.Errorf("it is %s", h.percentile(50))
	}
}
