package main

import (
	"os/exec"
	"strings"
)

// A machine's own firewall also sees what crosses a bridge, and many drop what they do not know. Where there are such
// rules, the bridge's traffic is let through by rules of our own; where there are none, nothing is changed.

// bridgeRules are the chains and conditions of what must pass: between nodes, and from nodes to the API server.
var bridgeRules = []struct {
	chain     string
	condition []string
}{
	{"FORWARD", []string{"-i", bridge, "-o", bridge}},
	{"INPUT", []string{"-i", bridge}},
}

func openFirewall() error {
	for _, rule := range bridgeRules {
		rules, err := commandOutput(exec.Command("iptables", "-S", rule.chain))
		if err != nil {
			return err
		}
		if !filters(rules) || hasRule(rules) {
			continue
		}
		if err := runCommand("iptables", ruleCommand("-I", rule.chain, rule.condition)...); err != nil {
			return err
		}
	}
	return nil
}

// closeFirewall removes our rules. Without iptables there are none.
func closeFirewall() error {
	if _, err := exec.LookPath("iptables"); err != nil {
		return nil
	}
	for _, rule := range bridgeRules {
		rules, err := commandOutput(exec.Command("iptables", "-S", rule.chain))
		if err != nil {
			return err
		}
		if !hasRule(rules) {
			continue
		}
		if err := runCommand("iptables", ruleCommand("-D", rule.chain, rule.condition)...); err != nil {
			return err
		}
	}
	return nil
}

func ruleCommand(act, chain string, condition []string) []string {
	command := append([]string{"--wait", act, chain}, condition...)
	return append(command, "-m", "comment", "--comment", topGroup, "-j", "ACCEPT")
}

// filters tells from the output of `iptables -S CHAIN` whether anything but our own rule could drop a packet.
func filters(rules string) bool {
	for line := range strings.Lines(rules) {
		line = strings.TrimSpace(line)
		accepts := strings.HasPrefix(line, "-P ") && strings.HasSuffix(line, " ACCEPT")
		if line != "" && !accepts && !strings.Contains(line, topGroup) {
			return true
		}
	}
	return false
}

func hasRule(rules string) bool { return strings.Contains(rules, topGroup) }
