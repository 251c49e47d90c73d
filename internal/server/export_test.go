package server

// Reload is what SIGHUP does.
func (s *Server) Reload() { s.reload(true) }
