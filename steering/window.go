package steering

import (
	"context"
	"slices"
)

// window brings list[from:to] to what it would be if all of list were sorted,
// without sorting the rest: a page of a million flows takes linear time. The
// error is ctx's; list is then in any order.
func window(ctx context.Context, list []uint32, from, to int, compare func(a, b uint32) int) error {
	for len(list) > 64 && from < to && to-from < len(list) {
		if err := ctx.Err(); err != nil {
			return err
		}
		low, high := partition(list, compare)
		switch {
		case to <= low:
			list = list[:low]
		case from >= high:
			list, from, to = list[high:], from-high, to-high
		default:
			// The pivot's run lies within the page: what is left and right of
			// it is two windows of their own.
			if err := window(ctx, list[:low], from, min(to, low), compare); err != nil {
				return err
			}
			list, from, to = list[high:], max(0, from-high), max(0, to-high)
		}
	}
	if from < to {
		slices.SortFunc(list, compare)
	}
	return ctx.Err()
}

// partition puts what is smaller than a pivot before it and what is greater
// behind; list[low:high] equals the pivot.
func partition(list []uint32, compare func(a, b uint32) int) (low, high int) {
	pivot := median(list[0], list[len(list)/2], list[len(list)-1], compare)
	high = len(list)
	for i := 0; i < high; {
		switch c := compare(list[i], pivot); {
		case c < 0:
			list[low], list[i] = list[i], list[low]
			low++
			i++
		case c > 0:
			high--
			list[high], list[i] = list[i], list[high]
		default:
			i++
		}
	}
	return low, high
}

func median(a, b, c uint32, compare func(a, b uint32) int) uint32 {
	if compare(a, b) > 0 {
		a, b = b, a
	}
	if compare(b, c) > 0 {
		b = c
	}
	if compare(a, b) > 0 {
		b = a
	}
	return b
}
