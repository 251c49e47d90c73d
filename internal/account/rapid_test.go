package account_test

import (
	"flag"
	"os"
)

// The random walks are long: 30 of each, and with `./test --long` the 100 that rapid takes by itself.
func init() {
	if os.Getenv("PLI_LONG") != "1" {
		flag.Set("rapid.checks", "30")
	}
}
