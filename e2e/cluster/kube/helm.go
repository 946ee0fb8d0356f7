package main

import (
	"fmt"
	"os"

	helmcommand "helm.sh/helm/v4/pkg/cmd"
	helmkube "helm.sh/helm/v4/pkg/kube"
)

// helm runs Helm's own root command. The field manager is named here because Helm otherwise derives it from the
// name of the binary, and this one has many names.
func helm() int {
	helmkube.ManagedFieldsManager = "helm"
	root, err := helmcommand.NewRootCmd(os.Stdout, os.Args[1:], helmcommand.SetupLogging)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	if err := root.Execute(); err != nil {
		return 1
	}
	return 0
}
