package notice

// Rendered is Envelope without a kept form.
func (w *Writer) Rendered(l Languages, e Envelope) (Mail, error) { return w.envelope(l, e) }
