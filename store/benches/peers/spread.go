package main

import (
	"cmp"
	"slices"
)

// spread is what rounds have in common: the middle one, and how far they are apart.
type spread[T cmp.Ordered] struct {
	median, lowest, highest T
}

// spreadOf needs at least one value; of an even number it takes the higher of the two in the middle.
func spreadOf[T cmp.Ordered](values []T) spread[T] {
	sorted := slices.Sorted(slices.Values(values))
	return spread[T]{median: sorted[len(sorted)/2], lowest: sorted[0], highest: sorted[len(sorted)-1]}
}
