package natsbus

// Port is where the server listens for clients, also if nobody was meant to connect there.
func Port(s *Server) string { return s.running.Addr().String() }
