package parley

import "github.com/parley-backend/parley/cloud"

// Hooks is the cloud code of a server, for triggers that no route runs yet.
func (s *Server) Hooks() *cloud.Hooks { return s.cloud }
