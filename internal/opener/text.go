package opener

import "strings"

// Strings are all words of the envelope file in one language. The file must
// stand alone, so they are not in the message catalogue; Catalogue shows them
// to the test that compares languages. %s is the host, or the address of a page.
type Strings struct {
	Title        string
	Heading      string
	Intro        string // %s: host
	Passphrase   string // where it takes one
	Sender       string
	Organisation string
	Reference    string
	Open         string
	AddressBar   string // %s: host
	Stuck        string
	OtherWays    string
	Drop         string // %s: host/open
	Link         string
	LinkNote     string
	Form         string
	FormNote     string // %s: host
	Unknown      string // in place of a sender
	Unexpected   string
}

// Catalogue gives the words by language: "en" and "fr", both complete.
func Catalogue() map[string]Strings {
	return map[string]Strings{
		"en": {
			Title:        "Encrypted message",
			Heading:      "You have received an encrypted message",
			Intro:        "The message is in this file, encrypted. It opens on %s, where you show that it was sent to you.",
			Passphrase:   "You also need the passphrase that the sender gives you some other way. That page asks for it; nobody else needs it.",
			Sender:       "Sender, as stated in the message",
			Organisation: "Organisation",
			Reference:    "Reference",
			Open:         "Open the message",
			AddressBar:   "The address bar of your browser must then show %s. Type codes or sign-in details nowhere else.",
			Stuck:        "The page did not answer. It may have been blocked: try one of these ways.",
			OtherWays:    "Other ways to open it",
			Drop:         "No button? Go to %s and drop this file there.",
			Link:         "Open with a link",
			LinkNote:     "needs neither script nor form",
			Form:         "Send the encrypted file and open it",
			FormNote:     "Only the encrypted file goes to %s.",
			Unknown:      "not stated",
			Unexpected:   "If you do not expect a message from this sender, ask them by another way before you open it.",
		},
		"fr": {
			Title:        "Message chiffr\u00e9",
			Heading:      "Vous avez re\u00e7u un message chiffr\u00e9",
			Intro:        "Le message est dans ce fichier, chiffr\u00e9. Il s\u2019ouvre sur %s, o\u00f9 vous montrez qu\u2019il vous est destin\u00e9.",
			Passphrase:   "Il vous faut aussi la phrase secr\u00e8te que l\u2019exp\u00e9diteur vous donne par un autre moyen. Cette page-l\u00e0 la demande\u00a0; personne d\u2019autre n\u2019en a besoin.",
			Sender:       "Exp\u00e9diteur, tel qu\u2019indiqu\u00e9 dans le message",
			Organisation: "Organisme",
			Reference:    "R\u00e9f\u00e9rence",
			Open:         "Ouvrir le message",
			AddressBar:   "La barre d\u2019adresse de votre navigateur doit alors afficher %s. Ne saisissez de code ou d\u2019identifiants nulle part ailleurs.",
			Stuck:        "La page n\u2019a pas r\u00e9pondu. Elle a pu \u00eatre bloqu\u00e9e\u00a0: essayez l\u2019une de ces m\u00e9thodes.",
			OtherWays:    "Autres fa\u00e7ons de l\u2019ouvrir",
			Drop:         "Pas de bouton\u00a0? Allez sur %s et d\u00e9posez-y ce fichier.",
			Link:         "Ouvrir par un lien",
			LinkNote:     "sans script ni formulaire",
			Form:         "Envoyer le fichier chiffr\u00e9 et l\u2019ouvrir",
			FormNote:     "Seul le fichier chiffr\u00e9 est envoy\u00e9 \u00e0 %s.",
			Unknown:      "non indiqu\u00e9",
			Unexpected:   "Si vous n\u2019attendez pas de message de cet exp\u00e9diteur, demandez-lui confirmation par un autre moyen avant de l\u2019ouvrir.",
		},
	}
}

var catalogue = Catalogue()

// words gives the strings for a language tag such as "fr" or "fr-CA", and the
// tag they are in; English for all others.
func words(tag string) (string, Strings) {
	base, _, _ := strings.Cut(strings.ToLower(tag), "-")
	if s, ok := catalogue[base]; ok {
		return base, s
	}
	return "en", catalogue["en"]
}
