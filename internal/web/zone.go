package web

import (
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the machine may have no zones of its own
)

// zoneNames are the time zones that are offered, by their IANA names, a city
// for each offset and rule that many people live by.
var zoneNames = []string{
	"UTC",
	"Africa/Abidjan", "Africa/Algiers", "Africa/Cairo", "Africa/Casablanca", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "Africa/Tunis",
	"America/Anchorage", "America/Argentina/Buenos_Aires", "America/Bogota", "America/Cayenne", "America/Chicago", "America/Denver", "America/Guadeloupe",
	"America/Halifax", "America/Lima", "America/Los_Angeles", "America/Martinique", "America/Mexico_City", "America/Miquelon", "America/New_York",
	"America/Phoenix", "America/Santiago", "America/Sao_Paulo", "America/St_Johns", "America/Toronto", "America/Vancouver",
	"Asia/Bangkok", "Asia/Dhaka", "Asia/Dubai", "Asia/Hong_Kong", "Asia/Jakarta", "Asia/Jerusalem", "Asia/Karachi", "Asia/Kathmandu", "Asia/Kolkata",
	"Asia/Manila", "Asia/Riyadh", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Taipei", "Asia/Tashkent", "Asia/Tehran", "Asia/Tokyo",
	"Atlantic/Azores", "Atlantic/Reykjavik",
	"Australia/Adelaide", "Australia/Brisbane", "Australia/Perth", "Australia/Sydney",
	"Europe/Amsterdam", "Europe/Athens", "Europe/Berlin", "Europe/Brussels", "Europe/Bucharest", "Europe/Budapest", "Europe/Copenhagen", "Europe/Dublin",
	"Europe/Helsinki", "Europe/Istanbul", "Europe/Kyiv", "Europe/Lisbon", "Europe/London", "Europe/Luxembourg", "Europe/Madrid", "Europe/Moscow",
	"Europe/Oslo", "Europe/Paris", "Europe/Prague", "Europe/Rome", "Europe/Sofia", "Europe/Stockholm", "Europe/Vienna", "Europe/Warsaw", "Europe/Zurich",
	"Indian/Mayotte", "Indian/Reunion",
	"Pacific/Auckland", "Pacific/Honolulu", "Pacific/Noumea", "Pacific/Tahiti",
}

// Zones are the choices, with the one in use even if it is not on the list.
func Zones(chosen string) []Option {
	names := zoneNames
	if _, err := time.LoadLocation(chosen); err == nil && chosen != "" && !slices.Contains(names, chosen) {
		names = append([]string{chosen}, names...)
	}
	out := make([]Option, len(names))
	for i, n := range names {
		out[i] = Option{Value: n, Text: strings.ReplaceAll(n, "_", " "), Selected: n == chosen}
	}
	return out
}
