package main

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestOnlyWhatIsAcknowledgedAfterTheWarmUpCounts(t *testing.T) {
	const answer = 10 * time.Millisecond
	slow := func(context.Context) (int, error) {
		time.Sleep(answer)
		return 5, nil
	}
	length := span{warmUp: 100 * time.Millisecond, measure: 200 * time.Millisecond}
	result, err := closedLoop(t.Context(), length, []publish{slow, slow})
	if err != nil {
		t.Fatal(err)
	}
	// At most 2 publishers × 5 records × 20 answers in 0.2 s; fewer where the machine is busy.
	if result.rate > 1050 || result.rate == 0 {
		t.Errorf("the rate is %v", result.rate)
	}
	if result.p50 < answer-answer/100 || result.p99 < result.p50 {
		t.Errorf("latencies are %s and %s", result.p50, result.p99)
	}
}

func TestAFailureEndsTheLoad(t *testing.T) {
	broken := errors.New("broken")
	begun := time.Now()
	_, err := closedLoop(t.Context(), span{measure: time.Minute}, []publish{
		func(context.Context) (int, error) { return 0, broken },
		func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		},
	})
	if !errors.Is(err, broken) || time.Since(begun) > 30*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}

func TestAnInterruptEndsTheLoad(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := closedLoop(ctx, span{measure: time.Minute}, []publish{
		func(context.Context) (int, error) { return 1, nil },
	}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
