package client

import (
	"io"
	"net/http"
)

// Branding is how an account looks to its recipients. What is empty is as the service has it.
type Branding struct {
	Name    string `json:"name" doc:"shown instead of the account's, at most 60 characters"`
	Color   string `json:"color" doc:"#rrggbb, of header edge and main button; text on it must have a contrast of 4.5:1"`
	IntroEN string `json:"intro_en" doc:"a line for mail and opening page, at most 200 characters, without links"`
	IntroFR string `json:"intro_fr" doc:"the same in French"`
	Contact string `json:"contact" doc:"mail address, https address or telephone number, shown as text"`
	Footer  string `json:"footer" doc:"at most 200 characters, without links"`
	Logo    string `json:"logo,omitempty" doc:"path of the picture at the server's origin; public, and never another picture"`
	Type    string `json:"logo_type,omitempty" enum:"image/png,image/svg+xml"`
	InMails bool   `json:"logo_in_mails,omitempty" doc:"mails carry it: not an SVG"`

	ETag string `json:"-" header:"ETag"`
}

// BrandingChange are the values to change; "" goes back to the service's.
type BrandingChange struct {
	Account int64   `path:"account" doc:"account number"`
	Name    *string `json:"name,omitempty"`
	Color   *string `json:"color,omitempty"`
	IntroEN *string `json:"intro_en,omitempty"`
	IntroFR *string `json:"intro_fr,omitempty"`
	Contact *string `json:"contact,omitempty"`
	Footer  *string `json:"footer,omitempty"`
	IfMatch string  `header:"If-Match" doc:"ETag that it must still have"`
}

// LogoIn is a picture.
type LogoIn struct {
	Account int64     `path:"account" doc:"account number"`
	IfMatch string    `header:"If-Match" doc:"ETag that it must still have"`
	File    io.Reader `body:"application/octet-stream" doc:"PNG, JPEG or SVG, at most 256 KiB and 2048 pixels a side"`
}

// BrandingAct names an account's look.
type BrandingAct struct {
	Account int64  `path:"account" doc:"account number"`
	IfMatch string `header:"If-Match" doc:"ETag that it must still have"`
}

const branding = "/api/v1/accounts/{account}/branding"

// How an account looks.
var (
	GetBranding = Operation[Account, Branding]{Spec{ID: "getBranding", Method: http.MethodGet, Path: branding, Tag: "Branding",
		Summary: "How an account looks to its recipients", Who: SignedIn, Right: "settings"}}
	ChangeBranding = Operation[BrandingChange, Branding]{Spec{ID: "changeBranding", Method: http.MethodPatch, Path: branding, Tag: "Branding",
		Summary: "Change name, colour and texts, all of those given or none", Who: SignedIn, Right: "settings"}}
	SetLogo = Operation[LogoIn, Branding]{Spec{ID: "setLogo", Method: http.MethodPut, Path: branding + "/logo", Tag: "Branding",
		Summary: "Set the logo", Note: "The picture is made anew, without metadata; an SVG may have plain shapes only.", Who: SignedIn, Right: "settings", MaxBody: 256<<10 + 1}}
	RemoveLogo = Operation[BrandingAct, Branding]{Spec{ID: "removeLogo", Method: http.MethodDelete, Path: branding + "/logo", Tag: "Branding",
		Summary: "Remove the logo", Who: SignedIn, Right: "settings"}}
	ResetBranding = Operation[BrandingAct, Branding]{Spec{ID: "resetBranding", Method: http.MethodDelete, Path: branding, Tag: "Branding",
		Summary: "Go back to the service's own look", Who: SignedIn, Right: "settings"}}
)
