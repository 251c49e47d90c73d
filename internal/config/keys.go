package config

import "strings"

// key is one entry of the file. The type of its field is its type in TOML:
// *string a string, *[]string a list of strings, *int64 a whole number.
type key struct {
	name     string // with its table: mail.tls
	def      any    // of the field's type; nil: empty
	example  string // TOML, for the example file; empty: the default
	required bool
	path     bool     // relative to the file
	choices  []string // the only values
	doc      string   // for the manual and the example file, one paragraph
	field    func(*Config) any
}

// tables are the headings of the example file and of the manual, in order.
var tables = []struct{ name, doc string }{
	{"", "Where the service listens, and how people reach it."},
	{"tls", "The certificate. Leave it out when a proxy in front of Pli does TLS."},
	{"mail", "Outgoing mail: the envelopes' mails, codes, invitations and notices."},
	{"mail.dkim", "Signs outgoing mail, if the smart host does not."},
	{"gateway", "The door for mail in flight: your mail servers hand it outgoing mail, it seals what is to be sealed and hands all of it on. Who may hand mail to it is told with pli admin upstream, and what is sealed with pli admin rules."},
	{"oidc", "An organisation's sign-in (OpenID Connect): Microsoft Entra, Google Workspace, Keycloak or any other. Repeat the table for each. At the provider, register the address PUBLIC_URL/signin/from/NAME. How to: docs/howto/sign-in-with-an-organisation.md."},
	{"audit", "Sends every event of the audit log to another system, where nobody here can change it. How to: docs/howto/send-audit-events-to-a-siem.md."},
	{"backup", "Daily backups that the server makes itself while it runs; of several nodes one does. pli backup makes one at once. How to: docs/howto/back-up-and-restore.md."},
	{"metrics", "Figures for a monitoring system."},
	{"webhooks", "Events that accounts have sent to their own programs. They are sent to public addresses over https only, and never through a proxy. How to: docs/howto/receive-webhooks.md."},
	{"log", "The server's own log, on standard error. It never holds content, codes, keys or passwords."},
	{"limits", "What one person may ask of the service."},
}

var keys = []key{
	{name: "listen", def: []string{"localhost:8443"}, field: func(c *Config) any { return &c.Listen },
		doc: "Addresses to listen on, host:port each. A port alone (\":8443\") means every network interface."},
	{name: "public_url", required: true, example: `"https://pli.example.org"`, field: func(c *Config) any { return &c.PublicURL },
		doc: "The address that people see in their browser and in every mail: https://host or https://host:port, nothing after it. Only for a trial on this machine may it be http, with localhost or a loopback address. It is written into every envelope; envelopes sealed under another address cannot be opened here."},
	{name: "database", required: true, example: `"sqlite:data/pli.db"`, field: func(c *Config) any { return &c.Database },
		doc: "sqlite:PATH for one file on this machine, or postgres://user@host/name for PostgreSQL. The schema is brought up to date at start."},
	{name: "database_password_file", path: true, field: func(c *Config) any { return &c.DatabasePasswordFile },
		doc: "File that holds the PostgreSQL password. Not needed with peer or certificate authentication."},
	{name: "data_dir", def: "data", path: true, field: func(c *Config) any { return &c.DataDir },
		doc: "Directory for kept ciphertext and encrypted scratch files. It is made if it is missing. No plain text is ever in it."},
	{name: "master_key_file", def: "master.key", path: true, field: func(c *Config) any { return &c.MasterKeyFile },
		doc: "File with the root key, made by pli setup. Without it, or its printed recovery key, nothing that was sealed can ever be opened."},
	{name: "breached_passwords", path: true, example: `"/var/lib/pli/pwned-passwords.txt"`, field: func(c *Config) any { return &c.BreachedPasswords },
		doc: "File of stolen passwords that nobody may choose, besides the built-in list: one SHA-1 in hex on each line, perhaps with \":count\" after it, in ascending order, such as the list of Have I Been Pwned. It is checked at start, and may be larger than the memory."},
	{name: "name", def: "Pli", field: func(c *Config) any { return &c.Name },
		doc: "Name of the site, on its pages and in their titles."},
	{name: "accessibility", def: "partial", choices: []string{"full", "partial", "none"}, field: func(c *Config) any { return &c.Accessibility },
		doc: "How far the site complies with the accessibility standard, as the footer and the accessibility statement say it. It is for whoever had the site audited to change."},
	{name: "support", example: `"support@example.org"`, field: func(c *Config) any { return &c.Support },
		doc: "Whom people are told to contact when nobody in their account can help: an address, a telephone number, a sentence."},
	{name: "trusted_proxies", field: func(c *Config) any { return &c.trustedProxies },
		doc: "Addresses or networks (192.0.2.0/24) of the proxies in front of Pli. Only from these is X-Forwarded-For believed."},

	{name: "tls.cert", path: true, example: `"/etc/pli/tls/fullchain.pem"`, field: func(c *Config) any { return &c.TLS.Cert },
		doc: "Certificate chain in PEM. It is read again when the file changes and on SIGHUP, without a restart."},
	{name: "tls.key", path: true, example: `"/etc/pli/tls/privkey.pem"`, field: func(c *Config) any { return &c.TLS.Key },
		doc: "Private key of the certificate in PEM."},
	{name: "tls.http_redirect", example: `":80"`, field: func(c *Config) any { return &c.TLS.HTTPRedirect },
		doc: "Address that answers plain HTTP with a redirect to public_url, and with nothing else."},

	{name: "mail.smarthost", required: true, example: `"smtp.example.org:587"`, field: func(c *Config) any { return &c.Mail.Smarthost },
		doc: "The mail server that takes outgoing mail, host:port."},
	{name: "mail.tls", def: "starttls", choices: []string{"starttls", "tls", "none"}, field: func(c *Config) any { return &c.Mail.TLS },
		doc: "starttls: plain first, then encrypted, and refused without (port 587). tls: encrypted from the first byte (port 465). none: only to a smart host on this machine."},
	{name: "mail.username", example: `"pli"`, field: func(c *Config) any { return &c.Mail.Username },
		doc: "Name to authenticate with at the smart host."},
	{name: "mail.password_file", path: true, example: `"/etc/pli/smtp-password"`, field: func(c *Config) any { return &c.Mail.PasswordFile },
		doc: "File that holds the password for mail.username."},
	{name: "mail.ca_file", path: true, field: func(c *Config) any { return &c.Mail.CAFile },
		doc: "Certificates in PEM to check the smart host against, instead of the system's."},
	{name: "mail.from", required: true, example: `"Example Health <envelopes@example.org>"`, field: func(c *Config) any { return &c.Mail.From },
		doc: "Sender of the service's own mails: an address, or a name with an address."},

	{name: "mail.open_address", example: `"open@pli.example.org"`, field: func(c *Config) any { return &c.Mail.OpenAddress },
		doc: "Where recipients may forward an envelope that nothing on their device opens. The gateway takes mail for it from anyone and answers with a link, only to the address that the envelope was made for. Left out, there is none. Whoever forwards shows the service both halves of the key for a moment."},

	{name: "mail.spf", example: `"include:_spf.example.net"`, field: func(c *Config) any { return &c.Mail.SPF },
		doc: "What a domain's SPF record needs so that the servers that send this service's mail may send for it: one mechanism (RFC 7208). Administrators are told to add it to their domains, and whether it is there."},

	{name: "mail.dkim.domain", example: `"example.org"`, field: func(c *Config) any { return &c.Mail.DKIM.Domain },
		doc: "Domain of the signature (d=)."},
	{name: "mail.dkim.selector", example: `"pli"`, field: func(c *Config) any { return &c.Mail.DKIM.Selector },
		doc: "Selector of the signature (s=): the public key is in DNS at SELECTOR._domainkey.DOMAIN."},
	{name: "mail.dkim.key_file", path: true, example: `"/etc/pli/dkim.pem"`, field: func(c *Config) any { return &c.Mail.DKIM.KeyFile },
		doc: "File with the private key in PEM, RSA or Ed25519."},

	{name: "mail.dkim_dir", path: true, example: `"/etc/pli/dkim"`, field: func(c *Config) any { return &c.Mail.DKIMDir },
		doc: "Directory with the keys of several domains, one file each: SELECTOR._domainkey.DOMAIN.pem, as the public key's name in DNS."},

	{name: "gateway.listen", example: `["localhost:10025"]`, field: func(c *Config) any { return &c.Gateway.Listen },
		doc: "Addresses where the gateway takes mail, host:port each. Without one there is no gateway. Do not show it to the Internet, unless for mail.open_address: it takes mail from known mail servers only, but needs nobody else's connections."},
	{name: "gateway.hostname", example: `"gateway.example.org"`, field: func(c *Config) any { return &c.Gateway.Hostname },
		doc: "Name of the gateway in its greeting and in Received fields. Left out, it is the host of public_url."},
	{name: "gateway.cert", path: true, example: `"/etc/pli/tls/gateway.pem"`, field: func(c *Config) any { return &c.Gateway.Cert },
		doc: "Certificate chain for STARTTLS in PEM, if it is not tls.cert. It is read again when the file changes and on SIGHUP."},
	{name: "gateway.key", path: true, example: `"/etc/pli/tls/gateway.key"`, field: func(c *Config) any { return &c.Gateway.Key },
		doc: "Private key of gateway.cert in PEM."},
	{name: "gateway.next_hop", example: `"localhost:10026"`, field: func(c *Config) any { return &c.Gateway.NextHop },
		doc: "Where the gateway hands mail on: host:port of a mail server, or dns for the recipients' own mail servers. Left out, it is mail.smarthost. The service's own mails always go to mail.smarthost."},
	{name: "gateway.next_hop_tls", def: "starttls", choices: []string{"starttls", "tls", "none"}, field: func(c *Config) any { return &c.Gateway.NextHopTLS },
		doc: "As mail.tls, for gateway.next_hop. With dns it counts for nothing: then TLS is used wherever it is offered, and demanded where DANE or MTA-STS say so."},
	{name: "gateway.next_hop_ca_file", path: true, field: func(c *Config) any { return &c.Gateway.NextHopCA },
		doc: "Certificates in PEM to check gateway.next_hop against, instead of the system's."},
	{name: "gateway.partners", example: `["insurer.example=mx1.insurer.example:25"]`, field: func(c *Config) any { return &c.Gateway.partners },
		doc: "Domains whose mail goes to a mail server of their own, DOMAIN=HOST:PORT each, always under TLS with a certificate for that host. For rules that say tls, such a way is as good as DANE or MTA-STS."},
	{name: "gateway.dns", example: `["127.0.0.1"]`, field: func(c *Config) any { return &c.Gateway.DNS },
		doc: "DNS servers to ask, instead of the system's."},
	{name: "gateway.dnssec", def: "local", choices: []string{"local", "trusted", "off"}, field: func(c *Config) any { return &c.Gateway.dnssec },
		doc: "Whose word on DNSSEC is believed, which DANE needs: local, of DNS servers on this machine; trusted, also of others, where the network between is safe; off, nobody's."},
	{name: "gateway.proxy_protocol", example: `["10.0.0.5"]`, field: func(c *Config) any { return &c.Gateway.proxyFrom },
		doc: "Addresses or networks of load balancers that must begin each connection with a PROXY header. From others none is believed."},
	{name: "gateway.rewrite_from", def: "never", choices: []string{"never", "unsigned"}, field: func(c *Config) any { return &c.Gateway.rewriteFrom },
		doc: "never: sealed mail keeps its From; then the next hop signs it, or may send for the domain (SPF). unsigned: where there is no DKIM key here for the domain in From, sealed mail goes out under the address of mail.from, with the sender's as Reply-To."},
	{name: "gateway.message_mib", def: int64(25), field: func(c *Config) any { return &c.Gateway.MessageMiB },
		doc: "The largest message that the gateway takes, in MiB, from 1 to 1024. Files grow by a third in a message, and the message by two fifths in its envelope: the next hop should take one and a half times as much."},
	{name: "gateway.connections", def: int64(200), field: func(c *Config) any { return &c.Gateway.Connections },
		doc: "Connections at the same time, from 1 to 10000. Half of them at most, and from one network a fifth of that half, may be of clients whose address is no upstream's and who have neither signed in nor had a MAIL taken: mail servers that are expected find a place."},
	{name: "gateway.connections_per_network", def: int64(100), field: func(c *Config) any { return &c.Gateway.PerNetwork },
		doc: "Connections at the same time from one network (/24, /64), from 1 to 10000."},
	{name: "gateway.messages_per_minute", def: int64(0), field: func(c *Config) any { return &c.Gateway.PerMinute },
		doc: "Messages of one upstream in a minute on this node; beyond that it is told to try again later. 0: no limit."},
	{name: "gateway.keep_days", def: int64(90), field: func(c *Config) any { return &c.Gateway.KeepDays },
		doc: "How many days the gateway's record of each message (who, when, what was decided and why) is kept, from 1 to 3660."},

	{name: "oidc.name", example: `"work"`, field: func(c *Config) any { return &c.oidc.Name },
		doc: "Name of the provider in addresses of pages: small letters, digits and hyphens."},
	{name: "oidc.label", example: `"Example Health"`, field: func(c *Config) any { return &c.oidc.Label },
		doc: "What stands on its button, after \"Sign in with\". Left out, it is the name."},
	{name: "oidc.issuer", example: `"https://login.example.org/realms/staff"`, field: func(c *Config) any { return &c.oidc.Issuer },
		doc: "The provider's issuer, exactly as it prints it: below it is .well-known/openid-configuration."},
	{name: "oidc.client_id", example: `"pli"`, field: func(c *Config) any { return &c.oidc.ClientID },
		doc: "How the provider knows this service."},
	{name: "oidc.client_secret_file", path: true, example: `"/etc/pli/oidc-work"`, field: func(c *Config) any { return &c.oidc.SecretFile },
		doc: "File that holds the client's secret, if the provider gave one."},
	{name: "oidc.domains", example: `["example.org"]`, field: func(c *Config) any { return &c.oidc.Domains },
		doc: "Domains of the addresses that the provider may vouch for. Only those that it really administers: whoever it names there opens what is sealed for them."},

	{name: "audit.syslog", example: `"tcp+tls://siem.example.org:6514"`, field: func(c *Config) any { return &c.Audit.Syslog },
		doc: "A syslog receiver: tcp+tls:// (RFC 5425), tcp:// or udp:// with host and port. The messages are those of RFC 5424, over TCP with octet counting (RFC 6587). Each event is sent at least once, over UDP perhaps never."},
	{name: "audit.http", example: `"https://siem.example.org/pli"`, field: func(c *Config) any { return &c.Audit.HTTP },
		doc: "An address that takes events by POST, one on each line, and answers 200 to 299 when it has them."},
	{name: "audit.token_file", path: true, example: `"/etc/pli/siem-token"`, field: func(c *Config) any { return &c.Audit.TokenFile },
		doc: "File that holds the token for audit.http, which is sent as Authorization: Bearer."},
	{name: "audit.ca_file", path: true, field: func(c *Config) any { return &c.Audit.CAFile },
		doc: "Certificates in PEM to check the receivers against, instead of the system's."},
	{name: "audit.format", def: "json", choices: []string{"json", "cef"}, field: func(c *Config) any { return &c.Audit.Format },
		doc: "json: an object on a line (docs/spec/audit-chain.md). cef: ArcSight's Common Event Format."},

	{name: "backup.to", path: true, example: `"/var/backups/pli"`, field: func(c *Config) any { return &c.Backup.To },
		doc: "Directory for the backups, on another disk or another machine's. The service's user must be able to write there (systemd: ReadWritePaths). Left out, the server makes none."},
	{name: "backup.at", def: "02:30", field: func(c *Config) any { return &c.Backup.At },
		doc: "When, hh:mm on the clock of the server's host. One that was missed or failed is made up for."},
	{name: "backup.keep", def: int64(14), field: func(c *Config) any { return &c.Backup.Keep },
		doc: "How many backups stay there, from 1 to 3660. Older ones are removed."},

	{name: "metrics.listen", example: `"localhost:9464"`, field: func(c *Config) any { return &c.Metrics.Listen },
		doc: "Address that answers GET /metrics in the text format of Prometheus: counts only, no names or addresses. It asks for no password, so it should be an address that only the monitoring system reaches."},
	{name: "webhooks.ports", example: `["8443", "9000-9099"]`, field: func(c *Config) any { return &c.Webhooks.ports },
		doc: "Ports that webhooks may be sent to, beside 443: one each, or a range."},
	{name: "webhooks.private_networks", example: `["10.20.0.0/16"]`, field: func(c *Config) any { return &c.Webhooks.private },
		doc: "Addresses or networks of your own that webhooks may be sent to, also over http. Every administrator of every account can then have the service connect to what is there; they see whether it answers, and not what. Left out, no webhook reaches anything that is not public."},
	{name: "webhooks.ca_file", path: true, field: func(c *Config) any { return &c.Webhooks.CAFile },
		doc: "Certificates in PEM to check receivers against, beside the system's."},

	{name: "log.level", def: "info", choices: []string{"debug", "info", "warn", "error"}, field: func(c *Config) any { return &c.Log.Level },
		doc: "The least important lines to write."},
	{name: "log.format", def: "text", choices: []string{"text", "json"}, field: func(c *Config) any { return &c.Log.Format },
		doc: "text for people, json for programs."},

	{name: "limits.attachments_mib", def: int64(25), field: func(c *Config) any { return &c.Limits.AttachmentsMiB },
		doc: "All files of one message composed on the web, in MiB, from 1 to 25. Mail servers on the way usually stop at 25 to 35."},
	{name: "limits.undo_seconds", def: int64(30), field: func(c *Config) any { return &c.Limits.UndoSeconds },
		doc: "For how many seconds, from 0 to 300, a sender can undo what they sent on the web. Its mails wait that long; those of the command line and the gateway do not."},
	{name: "limits.large_gib", def: int64(5), field: func(c *Config) any { return &c.Limits.LargeGiB },
		doc: "A file too large for a mail, in GiB, from 0 to 1024: it is sealed in the sender's browser, kept as ciphertext until its message ends, and fetched after opening. All that an account has of them may be 20 times as large. 0 allows none."},
	{name: "limits.password_checks", def: int64(0), field: func(c *Config) any { return &c.Limits.PasswordChecks },
		doc: "Passwords checked at the same time; each check takes 64 MiB of memory. 0 chooses by the size of the machine."},
}

func findKey(name string) *key {
	for i := range keys {
		if keys[i].name == name {
			return &keys[i]
		}
	}
	return nil
}

// isTable reports whether name is a heading, and not a key.
func isTable(name string) bool {
	for _, t := range tables {
		if t.name == name && name != "" {
			return true
		}
	}
	return false
}

// listed reports whether a table is repeated, in a list: [[oidc]].
func listed(table string) bool { return table == "oidc" }

// inList reports whether the key is one of such a table.
func (k *key) inList() bool { return strings.HasPrefix(k.name, "oidc.") }

// heading is a table's name as it is written.
func heading(table string) string {
	if listed(table) {
		return "[[" + table + "]]"
	}
	return "[" + table + "]"
}

func (k *key) setDefault(c *Config) {
	switch f := k.field(c).(type) {
	case *string:
		*f, _ = k.def.(string)
	case *[]string:
		list, _ := k.def.([]string)
		*f = append([]string(nil), list...)
	case *int64:
		*f, _ = k.def.(int64)
	}
}
