package main

import (
	"math/bits"
	"time"
)

const (
	// Durations of a power of two share so many counters, so that a percentile is exact to 1 %.
	stepBits = 7
	steps    = 1 << stepBits
)

// histogram counts durations in steps that grow with them.
type histogram struct {
	counts [(64 - stepBits + 1) * steps]uint64
	total  uint64
}

func (h *histogram) record(duration time.Duration) {
	h.counts[slot(uint64(max(duration, 0)))]++
	h.total++
}

func (h *histogram) add(other *histogram) {
	for slot, count := range other.counts {
		h.counts[slot] += count
	}
	h.total += other.total
}

// percentile is the least duration that so many of a hundred do not exceed, 0 where nothing was recorded.
func (h *histogram) percentile(percent float64) time.Duration {
	wanted := max(uint64(percent/100*float64(h.total)+0.5), 1)
	var seen uint64
	for slot, count := range h.counts {
		seen += count
		if count > 0 && seen >= wanted {
			return time.Duration(value(slot))
		}
	}
	return 0
}

// slot is the counter of a value: the first ones hold one value each, from there on each power of two has its steps.
func slot(value uint64) int {
	shift := max(bits.Len64(value)-stepBits-1, 0)
	return shift<<stepBits + int(value>>shift)
}

// value is the least one that a counter holds.
func value(slot int) uint64 {
	if slot < 2*steps {
		return uint64(slot)
	}
	shift := slot>>stepBits - 1
	return uint64(slot-shift<<stepBits) << shift
}
