package intake

// CodeHash is how a code is kept.
func (s *Service) CodeHash(session, intake, address, code string) string {
	return s.codeHash(session, intake, address, code)
}
