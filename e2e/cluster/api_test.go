package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestANodeIsReadyOnceItSaysSoAgain(t *testing.T) {
	var found nodeObject
	err := json.Unmarshal([]byte(`{"metadata": {"name": "node1"}, "status": {"conditions": [
		{"type": "MemoryPressure", "status": "False"},
		{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T12:00:05Z"}]}}`), &found)
	if err != nil {
		t.Fatal(err)
	}
	reported := time.Date(2026, 1, 1, 12, 0, 5, 0, time.UTC)
	if missing := found.notReady(reported.Add(-time.Second)); missing != "" {
		t.Errorf("it has reported, yet: %s", missing)
	}
	// What it said before it died.
	if missing := found.notReady(reported); !strings.Contains(missing, "has not reported") {
		t.Errorf("got %q", missing)
	}
	found.Status.Conditions[1].Status = "Unknown"
	found.Status.Conditions[1].Message = "Kubelet stopped posting node status."
	if missing := found.notReady(time.Time{}); !strings.Contains(missing, "stopped posting") {
		t.Errorf("got %q", missing)
	}
	if missing := (nodeObject{}).notReady(time.Time{}); missing == "" {
		t.Error("a node without conditions is ready")
	}
}
