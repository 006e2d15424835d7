#!/usr/bin/env bash
# A variable in the configuration of an OpenTelemetry Collector is read as YAML, also where a text is meant.
#
# Versions: go.opentelemetry.io/collector/confmap and its provider for variables 1.71.0 (Collector 0.165); needs Go 1.26.
#
# Expected: with SITE=007, `value: ${env:SITE}` is the text 007, as it is in a shell; quotes around it make sure of that.
#
# Seen: the value is the number 7, with quotes or without. Components whose keys are typed as texts get 007 all the same,
#   but those that take any value, or hand their configuration on as YAML, get 7: attributes of the resource processor,
#   relabelling of the prometheus receiver. Another character beside the variable keeps it a text.
#
# Output seen:
#   value: ${env:SITE} is 7 (int)
#   value: "${env:SITE}" is 7 (int)
#   value: x${env:SITE} is x007 (string)
#
# Why it matters here: the label of a site comes from a variable, and a plant may number its sites: 007 and 7 would be
#   one site at the hub, and 1e3 would be 1000. Our configuration never has such a variable alone.
#
# Upstream: open-telemetry/opentelemetry-collector, docs/rfcs/env-vars.md, "Type casting": only where the target is known
#   to be a text, the original text is used.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
)

func main() {
	for _, text := range []string{"plain", "quoted", "joined"} {
		resolver, err := confmap.NewResolver(confmap.ResolverSettings{
			URIs:              []string{"file:" + text + ".yaml"},
			ProviderFactories: []confmap.ProviderFactory{envprovider.NewFactory(), fileprovider.NewFactory()},
		})
		if err != nil {
			panic(err)
		}
		conf, err := resolver.Resolve(context.Background())
		if err != nil {
			panic(err)
		}
		value := conf.ToStringMap()["value"]
		fmt.Printf("is %v (%T)\n", value, value)
	}
}
GO
# shellcheck disable=SC2016 # the Collector replaces the variable
{
  echo 'value: ${env:SITE}' > plain.yaml
  echo 'value: "${env:SITE}"' > quoted.yaml
  echo 'value: x${env:SITE}' > joined.yaml
}
go mod init example.com/finding 2> /dev/null
go get go.opentelemetry.io/collector/confmap@v1.71.0 \
  go.opentelemetry.io/collector/confmap/provider/envprovider@v1.71.0 \
  go.opentelemetry.io/collector/confmap/provider/fileprovider@v1.71.0 2> /dev/null
SITE=007 go run . > values
paste -d ' ' <(cat plain.yaml quoted.yaml joined.yaml) values | tee seen
grep -qxF 'value: "${env:SITE}" is 7 (int)' seen && grep -qxF 'value: x${env:SITE} is x007 (string)' seen ||
  { echo "changed: a variable in quotes stays a text"; exit 1; }
